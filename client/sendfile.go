package client

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"time"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// FileOptions change how a file is sent.
type FileOptions struct {
	Type     string             // media type, sealed with the name
	FileID   string             // a UUID that was never used before. Default: random
	Progress func(FileProgress) // from the goroutine that called SendFile: it must be quick. Default: none
}

// FileProgress is how far a file is.
type FileProgress struct {
	FileID    string
	Name      string
	Size      int64 // bytes of plaintext in all
	Done      int64 // bytes that every receiver has written (sending), or that are written here (receiving)
	Receivers int   // sending only: how many are taking it
}

// SendFile sends size bytes of r to those who are subscribed to the topic now, and returns nil once all that stayed have
// it. It holds a window of it (4 MiB) in memory, goes back where a receiver lost some, and goes on after a lost connection
// that is mended within 60 s; without one it waits as long. Ending ctx cancels the transfer at its receivers. Without receivers it fails with code NoReceivers.
//
// Where r can seek it is read twice: once for the hash that travels sealed with the name. It can then go back any
// way, at 16 bytes of memory a chunk; else a window's length.
func (c *Client) SendFile(ctx context.Context, topic, name string, size int64, r io.Reader, o FileOptions) error {
	if err := c.open(); err != nil {
		return err
	}
	s, err := c.newFileSource(ctx, name, size, r, o)
	if err != nil {
		return err
	}
	t, err := c.newSending(topic, name, size, s, o)
	if err != nil {
		return err
	}
	if err := c.sending.add(t); err != nil {
		return err
	}
	err = t.produce(ctx, s, o.Progress)
	c.sending.remove(t, err)
	return err
}

// newSending prepares the frames of a file.
func (c *Client) newSending(topic, name string, size int64, s *fileSource, o FileOptions) (*sending, error) {
	id := o.FileID
	if id == "" {
		id = newUUID()
	}
	init := protocol.ClientFrame{
		Type: protocol.TypeInitFile, FileID: []byte(id), Topic: []byte(topic), FileSize: size, TotalChunks: s.total, QoS: 1,
	}
	var err error
	if c.o.Suite == 1 {
		s.cipher = c.o.Keys.LegacyFileCipher()
		init.FileName = []byte(name)
	} else {
		if s.cipher, err = c.o.Keys.FileCipher(id); err != nil {
			return nil, protocol.Errorf(protocol.BadRequest, "fileId: takes a UUID in its 36 characters")
		}
		meta, err := s.cipher.SealMeta(e2ee.Meta{Name: name, Size: size, Type: o.Type, SHA256: s.sum})
		if err != nil {
			return nil, err
		}
		init.Meta = []byte(meta)
	}
	if err := init.Validate(); err != nil {
		return nil, err
	}
	t := &sending{
		c: c, id: id, name: name, size: size, total: s.total, init: init, seekable: s.seek != nil,
		produced: make(chan struct{}, 1), moved: time.Now(),
	}
	if s.total == 0 {
		t.hash = s.end()
	}
	return t, nil
}

// fileSource reads a file chunk by chunk and seals it.
//
// A chunk's nonce is its index: what is sealed again must be what was sealed before. So each chunk read again is
// compared with its mark, and a file that has changed is never sent on.
type fileSource struct {
	r      io.Reader
	seek   io.Seeker // nil: it can be read once
	start  int64     // where the content begins, of a source that can seek
	size   int64
	total  int64 // chunks
	cipher *e2ee.FileCipher
	legacy bool

	at    int64       // the chunk to be read next
	mac   cipher.AEAD // under a key of its own, which marks chunks for less than a hash would cost
	marks [][markSize]byte
	whole hash.Hash // suite 1: of what was read for the first time
	sum   string    // of all, where it was read before
	text  []byte
}

const markSize = 16

func (c *Client) newFileSource(ctx context.Context, name string, size int64, r io.Reader, o FileOptions) (*fileSource, error) {
	if size < 0 || name == "" {
		return nil, protocol.Errorf(protocol.BadRequest, "file: takes a name and a size of 0 or more")
	}
	s := &fileSource{
		r: r, size: size, total: (size + protocol.ChunkSize - 1) / protocol.ChunkSize, legacy: c.o.Suite == 1,
		mac: newMAC(), whole: sha256.New(), text: make([]byte, protocol.ChunkSize),
	}
	if s.total > math.MaxUint32 {
		return nil, protocol.Errorf(protocol.TooLarge, "file: more than 2^32 chunks")
	}
	seeker, ok := r.(io.Seeker)
	if at, isAt := r.(io.ReaderAt); !ok && isAt {
		section := io.NewSectionReader(at, 0, size)
		s.r, seeker, ok = section, section, true
	}
	if !ok {
		return s, nil
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return s, nil // a pipe
	}
	s.seek, s.start = seeker, start
	if s.legacy {
		return s, nil // its hash comes last
	}
	if err := s.digestAll(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// digestAll reads the whole source once, for its hash.
func (s *fileSource) digestAll(ctx context.Context) error {
	h := sha256.New()
	for left := s.size; left > 0; {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		n := min(left, int64(len(s.text)))
		if _, err := io.ReadFull(s.r, s.text[:n]); err != nil {
			return sourceError(err)
		}
		h.Write(s.text[:n])
		s.marks = append(s.marks, s.mark(int64(len(s.marks)), s.text[:n]))
		left -= n
	}
	s.sum = hex.EncodeToString(h.Sum(nil))
	return s.rewind(0)
}

func (s *fileSource) rewind(index int64) error {
	if _, err := s.seek.Seek(s.start+index*protocol.ChunkSize, io.SeekStart); err != nil {
		return fmt.Errorf("client: file: %w", err)
	}
	s.at = index
	return nil
}

// frame appends chunk index, sealed, as a binary frame's payload. The chunks are asked for in order, except after going
// back.
func (s *fileSource) frame(dst []byte, id string, index int64) ([]byte, error) {
	if index != s.at {
		if s.seek == nil {
			return nil, errGoneBack
		}
		if err := s.rewind(index); err != nil {
			return nil, err
		}
	}
	text := s.text[:min(protocol.ChunkSize, s.size-index*protocol.ChunkSize)]
	if _, err := io.ReadFull(s.r, text); err != nil {
		return nil, sourceError(err)
	}
	s.at++
	if index < int64(len(s.marks)) {
		if s.marks[index] != s.mark(index, text) {
			return nil, ErrSource
		}
	} else {
		if s.seek != nil {
			s.marks = append(s.marks, s.mark(index, text))
		}
		if s.legacy {
			s.whole.Write(text)
		}
	}
	dst = protocol.AppendChunkHeader(dst, []byte(id), uint32(index))
	return s.cipher.Seal(dst, uint32(index), index == s.total-1, text)
}

// end is the hash that end_file carries, once all was read: suite 1's alone, for a hash in the open would tell the server
// which file it is.
func (s *fileSource) end() []byte {
	if !s.legacy {
		return nil
	}
	return hex.AppendEncode(nil, s.whole.Sum(nil))
}

// mark tells whether a chunk is the same as before. It never leaves the process.
func (s *fileSource) mark(index int64, text []byte) (m [markSize]byte) {
	nonce := make([]byte, 12)
	binary.BigEndian.PutUint64(nonce[4:], uint64(index))
	s.mac.Seal(m[:0], nonce, nil, text)
	return m
}

// newMAC is AES-GMAC under a random key.
func newMAC() cipher.AEAD {
	key := make([]byte, 16)
	rand.Read(key)
	block, err := aes.NewCipher(key)
	if err == nil {
		var mac cipher.AEAD
		if mac, err = cipher.NewGCM(block); err == nil {
			return mac
		}
	}
	panic(err) // only a key of a wrong length
}

var errGoneBack = errors.New("client: file: a receiver has lost more than can be sent again")

func sourceError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrSource
	}
	return fmt.Errorf("client: file: %w", err)
}

// produce seals chunk after chunk as the window allows, until the file is done or has failed.
func (t *sending) produce(ctx context.Context, s *fileSource, progress func(FileProgress)) error {
	timer := time.NewTicker(tick)
	defer timer.Stop()
	var told FileProgress
	var spare []byte
	for {
		index, turn, ready, state, err := t.want()
		if progress != nil && state != told {
			told = state
			progress(state)
		}
		if err != nil {
			if errors.Is(err, errDone) {
				return nil
			}
			return err
		}
		if ready {
			frame, err := s.frame(spare[:0], t.id, index)
			if err != nil {
				return err
			}
			var hash []byte
			if index == t.total-1 {
				hash = s.end()
			}
			spare = t.put(index, turn, frame, hash)
			continue
		}
		select {
		case <-t.produced:
		case <-timer.C:
			t.check(time.Now())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
