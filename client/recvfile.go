package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// FileOffer describes a file that is about to come.
type FileOffer struct {
	FileID string
	Topic  string
	Name   string // as its sender chose it: any text, to be trusted as a file name by nobody
	Size   int64
	Type   string
	SHA256 string // of the content, in hex; empty where the sender did not know it
	Legacy bool   // suite 1: the server saw the name, and nothing proves who sent it
}

// FileSink takes one file's content, in order. Exactly one of Commit and Abort ends it.
type FileSink interface {
	io.Writer
	// Commit is called when the content is whole and right. An error is the transfer's.
	Commit() error
	// Abort is called when the rest will never come, with the reason.
	Abort(reason error)
}

// ReceiveOptions change how files are received.
type ReceiveOptions struct {
	// Progress is called at each step, from the transfer's own goroutine. Default: none.
	Progress func(FileProgress)
	// Done is called once a file is whole and committed, or has failed; OnError gets the failure too. Default: none.
	Done func(FileOffer, error)
}

// ReceiveFiles subscribes to the topic's files, as Subscribe does to its messages; a topic may have both. accept says
// where a file goes, or returns nil to decline it; it runs in the transfer's own goroutine, and within 30 s.
//
// A file goes on after a lost connection. It is given up when nothing has come for 90 s.
func (c *Client) ReceiveFiles(ctx context.Context, topic string, accept func(FileOffer) (FileSink, error), o ReceiveOptions) error {
	h := &fileHandler{accept: accept, options: o}
	return c.subscribe(ctx, topic, func(s *subscription) bool {
		if s.files != nil {
			return false
		}
		s.files = h
		return true
	}, func(s *subscription) { s.files = nil })
}

// fileHandler is what the application gave to ReceiveFiles.
type fileHandler struct {
	accept  func(FileOffer) (FileSink, error)
	options ReceiveOptions
}

// giveUp is how long nothing may come of a file: its sender may be away for 60 s, and a receiver stand still for 30.
const giveUp = protocol.SenderAway + protocol.ReceiverStall

// incoming is one file on its way in: a window of sealed chunks between the goroutine that reads the connection and its
// own, which opens and writes them.
type incoming struct {
	all    *receivings
	offer  FileOffer
	h      *fileHandler
	cipher *e2ee.FileCipher
	total  int64 // chunks
	wake   chan struct{}

	// Owned by its goroutine.
	sink  FileSink
	sum   hash.Hash
	bytes int64
	bad   error // suite 1: a chunk did not open; see open
	text  []byte

	mu     sync.Mutex // guards the following
	conn   *conn      // the one that it is on
	queue  [][]byte   // payloads of the chunks taken to expect
	free   [][]byte
	expect int64     // the next index to come
	taken  int64     // the next to be written
	acked  int64     // the last next that was sent
	due    bool      // a file_ack is to be sent
	resume bool      // a file_resume is to be sent
	again  time.Time // not before
	asked  bool      // one was sent, and no chunk has come since
	ended  bool      // end_file has come
	hash   string
	moved  time.Time
	err    error
}

// newIncoming takes a file's init_file apart.
func (r *receivings) newIncoming(k *conn, f *protocol.ServerFrame, h *fileHandler) (*incoming, error) {
	t := &incoming{
		all: r, h: h, conn: k, wake: make(chan struct{}, 1), sum: sha256.New(), moved: time.Now(),
		offer: FileOffer{FileID: string(f.FileID), Topic: string(f.Topic), Name: string(f.FileName), Size: f.FileSize, Legacy: f.Meta == nil},
	}
	if t.offer.Legacy {
		if !r.c.o.AllowLegacy {
			return t, ErrLegacy
		}
		t.cipher = r.c.o.Keys.LegacyFileCipher()
	} else {
		cipher, meta, err := r.c.o.Keys.OpenMeta(t.offer.FileID, string(f.Meta))
		if err != nil {
			return t, err
		}
		// What counts is what was sealed, not what the server says.
		t.cipher = cipher
		t.offer.Name, t.offer.Size, t.offer.Type, t.offer.SHA256 = meta.Name, meta.Size, meta.Type, meta.SHA256
	}
	t.total = (t.offer.Size + protocol.ChunkSize - 1) / protocol.ChunkSize
	if t.offer.Size < 0 || t.total != f.TotalChunks {
		return t, ErrCorrupt
	}
	return t, nil
}

// run takes the file to its end.
func (t *incoming) run() {
	err := t.receive()
	t.all.remove(t, err)
	if t.sink != nil && err != nil {
		t.sink.Abort(err)
	}
	if err == errDeclined {
		return
	}
	if err != nil {
		t.all.c.fault(&FileError{Topic: t.offer.Topic, FileID: t.offer.FileID, Name: t.offer.Name, Err: err})
	}
	if done := t.h.options.Done; done != nil {
		done(t.offer, err)
	}
}

func (t *incoming) receive() error {
	sink, err := t.h.accept(t.offer)
	if err != nil {
		return err
	}
	if sink == nil {
		return errDeclined
	}
	t.sink = sink
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		for payload, index, err := t.next(); payload != nil || err != nil; payload, index, err = t.next() {
			if err == nil {
				err = t.write(index, payload)
			}
			if err != nil {
				return err
			}
		}
		if done, err := t.finish(); done || err != nil {
			return err
		}
		select {
		case <-t.wake:
		case <-ticker.C:
			t.check(time.Now())
		}
	}
}

// write opens a chunk, writes it, and lets it be acked.
func (t *incoming) write(index int64, payload []byte) error {
	if err := t.open(index, payload); err != nil {
		return err
	}
	if index == t.total-1 && t.offer.SHA256 != "" {
		// Whole and right can be told now: what is acked as the end is then safely there.
		if err := t.commit(t.offer.SHA256); err != nil {
			return err
		}
	}
	t.wrote(index, payload)
	if progress := t.h.options.Progress; progress != nil {
		progress(FileProgress{FileID: t.offer.FileID, Name: t.offer.Name, Size: t.offer.Size, Done: t.bytes})
	}
	return nil
}

// open writes a chunk's plaintext. A chunk of suite 1 that does not open is acked like any other, and the file fails at
// its end: an answer that told one failure from another would open chunks to whoever sends forgeries.
func (t *incoming) open(index int64, payload []byte) (err error) {
	if t.bad != nil {
		return nil
	}
	last := index == t.total-1
	size := int64(protocol.ChunkSize)
	if last {
		size = t.offer.Size - index*protocol.ChunkSize
	}
	t.text, err = t.cipher.Open(t.text[:0], uint32(index), last, payload)
	if err == nil && int64(len(t.text)) != size {
		err = ErrCorrupt
	}
	if err != nil {
		if t.offer.Legacy {
			t.bad = ErrCorrupt
			return nil
		}
		return err
	}
	if _, err := t.sink.Write(t.text); err != nil {
		return err
	}
	t.sum.Write(t.text)
	t.bytes += int64(len(t.text))
	return nil
}

// commit ends the sink, if the content has the hash that is known of it.
func (t *incoming) commit(want string) error {
	if t.bad != nil {
		return t.bad
	}
	if t.bytes != t.offer.Size || want != "" && want != hex.EncodeToString(t.sum.Sum(nil)) {
		return ErrCorrupt
	}
	sink := t.sink
	t.sink = nil
	if err := sink.Commit(); err != nil {
		return fmt.Errorf("client: file: %w", err)
	}
	return nil
}

// finish ends the file once all is written: at its last chunk where its hash is known, else at end_file.
func (t *incoming) finish() (done bool, err error) {
	t.mu.Lock()
	whole, ended, hash := t.taken == t.total, t.ended, t.hash
	t.mu.Unlock()
	switch {
	case !whole:
		return false, nil
	case t.sink == nil: // committed
		return true, nil
	case !ended:
		return false, nil
	}
	if t.offer.SHA256 != "" {
		hash = t.offer.SHA256
	}
	return true, t.commit(hash)
}
