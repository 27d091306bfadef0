package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// content is n bytes that look random and are always the same.
func content(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

// stream hides that a reader can seek.
type stream struct{ io.Reader }

func readDir(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// received collects the ends of files.
func received() (chan error, ReceiveOptions) {
	ends := make(chan error, 100)
	return ends, ReceiveOptions{Done: func(_ FileOffer, err error) { ends <- err }}
}

func TestFile_ArrivesWholeForBothSuitesAndEverySize(t *testing.T) {
	b := newCluster(t)
	b.start()
	b.session(nil)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dirs := []string{t.TempDir(), t.TempDir()}
	var ends []chan error
	for _, dir := range dirs {
		reader := b.connect(func(o *Options) { o.AllowLegacy = true })
		end, o := received()
		ends = append(ends, end)
		if err := reader.ReceiveToDir(ctx, "files", dir, DirOptions{ReceiveOptions: o}); err != nil {
			t.Fatal(err)
		}
	}
	for _, suite := range []int{1, 2} {
		writer := b.connect(func(o *Options) { o.Suite = suite })
		for _, size := range []int{0, 1, protocol.ChunkSize, protocol.ChunkSize + 1, 100*protocol.ChunkSize + 7} {
			for _, source := range []io.Reader{bytes.NewReader(content(size)), stream{bytes.NewReader(content(size))}} {
				name := fmt.Sprintf("%d of suite %d from %T.bin", size, suite, source)
				var last FileProgress
				err := writer.SendFile(ctx, "files", name, int64(size), source, FileOptions{Progress: func(p FileProgress) {
					if p.Done < last.Done {
						t.Errorf("progress goes back from %d to %d", last.Done, p.Done)
					}
					last = p
				}})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if last.Done != int64(size) || last.Receivers != 2 {
					t.Errorf("%s: the last progress is %+v", name, last)
				}
				for i, dir := range dirs {
					if err := receive(t, ends[i]); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					got, err := os.ReadFile(filepath.Join(dir, safeName(name)))
					if err != nil || !bytes.Equal(got, content(size)) {
						t.Errorf("%s: %d bytes arrived, %v", name, len(got), err)
					}
				}
			}
		}
	}
	for _, dir := range dirs {
		if names := readDir(t, dir); len(names) != 20 {
			t.Errorf("%d files, want 20: %q", len(names), names)
		}
	}
}

func TestFile_WithoutReceiversFails(t *testing.T) {
	b := newCluster(t)
	b.start()
	b.session(nil)
	err := b.connect(nil).SendFile(testContext(t), "files", "x", 1, strings.NewReader("x"), FileOptions{})
	if !IsCode(err, protocol.NoReceivers) {
		t.Errorf("SendFile = %v, want %v", err, protocol.NoReceivers)
	}
}

// cutAfter cuts the proxy when so much of it has been read.
type cutAfter struct {
	io.Reader
	left int
	cut  func()
}

func (c *cutAfter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.left -= n; c.left <= 0 && c.cut != nil {
		c.cut()
		c.cut = nil
	}
	return n, err
}

func TestFile_GoesOnAfterBothConnectionsAreCut(t *testing.T) {
	for name, durable := range map[string]bool{"durable": true, "ephemeral": false} {
		t.Run(name, func(t *testing.T) {
			b := newCluster(t)
			b.start()
			b.session(nil)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			reader := b.connect(func(o *Options) {
				if durable {
					o.ClientID = "reader"
				}
			})
			writer := b.connect(func(o *Options) {
				if durable {
					o.ClientID = "writer"
				}
			})
			dir := t.TempDir()
			end, o := received()
			if err := reader.ReceiveToDir(ctx, "files", dir, DirOptions{ReceiveOptions: o}); err != nil {
				t.Fatal(err)
			}
			size := 300 * protocol.ChunkSize
			source := &cutAfter{bytes.NewReader(content(size)), size / 2, b.proxy.cut}
			if err := writer.SendFile(ctx, "files", "big", int64(size), source, FileOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := receive(t, end); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join(dir, "big")); err != nil || !bytes.Equal(got, content(size)) {
				t.Errorf("%d bytes arrived, %v", len(got), err)
			}
		})
	}
}

func TestFile_GoesOnAfterTheNodeIsReplaced(t *testing.T) {
	b := newCluster(t)
	old := b.start()
	b.session(nil)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	reader := b.connect(func(o *Options) { o.ClientID = "reader" })
	writer := b.connect(nil)
	dir := t.TempDir()
	end, o := received()
	if err := reader.ReceiveToDir(ctx, "files", dir, DirOptions{ReceiveOptions: o}); err != nil {
		t.Fatal(err)
	}
	size := 300 * protocol.ChunkSize
	source := &cutAfter{bytes.NewReader(content(size)), size / 2, func() { b.start(); old.end() }}
	if err := writer.SendFile(ctx, "files", "big", int64(size), source, FileOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, end); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "big")); err != nil || !bytes.Equal(got, content(size)) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
}

func TestFile_CancelledLeavesNothing(t *testing.T) {
	b := newCluster(t)
	b.start()
	b.session(nil)
	dir := t.TempDir()
	end, o := received()
	if err := b.connect(nil).ReceiveToDir(testContext(t), "files", dir, DirOptions{ReceiveOptions: o}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	size := 300 * protocol.ChunkSize
	source := &cutAfter{bytes.NewReader(content(size)), size / 2, cancel}
	if err := b.connect(nil).SendFile(ctx, "files", "big", int64(size), source, FileOptions{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("SendFile = %v, want %v", err, context.Canceled)
	}
	if err := receive(t, end); !IsCode(err, protocol.NotFound) {
		t.Errorf("the receiver was told %v", err)
	}
	if names := readDir(t, dir); len(names) != 0 {
		t.Errorf("left behind: %q", names)
	}
}

func TestFile_DeclinedHoldsNobodyUp(t *testing.T) {
	b := newCluster(t)
	b.start()
	b.session(nil)
	ctx := testContext(t)
	picky, other, messages := b.connect(nil), b.connect(nil), b.connect(nil)
	if err := picky.ReceiveFiles(ctx, "files", func(FileOffer) (FileSink, error) { return nil, nil }, ReceiveOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := messages.Subscribe(ctx, "files", collect(make(chan Message, 1))); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	end, o := received()
	if err := other.ReceiveToDir(ctx, "files", dir, DirOptions{ReceiveOptions: o}); err != nil {
		t.Fatal(err)
	}
	size := 200 * protocol.ChunkSize
	if err := b.connect(nil).SendFile(ctx, "files", "x", int64(size), bytes.NewReader(content(size)), FileOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, end); err != nil {
		t.Fatal(err)
	}
}

// feeding is a client that receives files, a peer in the server's place, and a file to feed it with.
type feeding struct {
	*testing.T
	k      *peerConn
	dir    string
	end    chan error
	id     string
	cipher *e2ee.FileCipher
	text   []byte
	total  int
	last   int // acked
}

func feed(t *testing.T, size int, o Options, meta func(*e2ee.Meta)) *feeding {
	t.Helper()
	p := newPeer(t)
	c, k := connect(t, p, func(all *Options) { all.AllowLegacy, all.Suite = o.AllowLegacy, o.Suite })
	f := &feeding{T: t, k: k, dir: t.TempDir(), id: newUUID(), text: content(size), total: (size + protocol.ChunkSize - 1) / protocol.ChunkSize}
	var ro ReceiveOptions
	f.end, ro = received()
	p.wg.Go(func() { k.subscribe("files") })
	if err := c.ReceiveToDir(testContext(t), "files", f.dir, DirOptions{ReceiveOptions: ro}); err != nil {
		t.Fatal(err)
	}
	init := protocol.ServerFrame{
		Type: protocol.TypeInitFile, FileID: []byte(f.id), Topic: []byte("files"), FileSize: int64(size), TotalChunks: int64(f.total),
	}
	ring, err := e2ee.ParseKeyRing(testSession, testKey)
	if err != nil {
		t.Fatal(err)
	}
	if o.Suite == 1 {
		f.cipher = ring.LegacyFileCipher()
		init.FileName = []byte("fed")
	} else {
		f.cipher, _ = ring.FileCipher(f.id)
		m := e2ee.Meta{Name: "fed", Size: int64(size)}
		if meta != nil {
			meta(&m)
		}
		sealed, err := f.cipher.SealMeta(m)
		if err != nil {
			t.Fatal(err)
		}
		init.Meta = []byte(sealed)
	}
	k.send(init)
	return f
}

func (f *feeding) chunk(index int, change func([]byte)) {
	text := f.text[index*protocol.ChunkSize : min(len(f.text), (index+1)*protocol.ChunkSize)]
	payload, err := f.cipher.Seal(nil, uint32(index), index == f.total-1, text)
	if err != nil {
		f.Fatal(err)
	}
	if change != nil {
		change(payload)
	}
	f.k.write(2, protocol.AppendChunk(nil, protocol.Chunk{FileID: []byte(f.id), Index: uint32(index), Payload: payload}))
}

func (f *feeding) finish(hash string) {
	end := protocol.ServerFrame{Type: protocol.TypeEndFile, FileID: []byte(f.id), Topic: []byte("files")}
	if hash != "" {
		end.Hash = []byte(hash)
	}
	f.k.send(end)
}

// acked waits for file_acks up to next.
func (f *feeding) acked(next int) {
	f.Helper()
	for f.last < next {
		f.last = int(f.k.expect(protocol.TypeFileAck).Next)
	}
}

func (f *feeding) empty() {
	f.Helper()
	if names := readDir(f.T, f.dir); len(names) != 0 {
		f.Errorf("left behind: %q", names)
	}
}

func TestReceive_AcksOftenAndWritesEachChunkOnce(t *testing.T) {
	f := feed(t, 50*protocol.ChunkSize+1, Options{}, nil)
	for i := range f.total {
		f.chunk(i, nil)
		if i%10 == 5 { // sent again
			f.chunk(i-3, nil)
		}
		f.acked(i + 2 - protocol.FileAckEvery)
	}
	f.acked(f.total)
	f.finish("")
	if err := receive(t, f.end); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(f.dir, "fed")); err != nil || !bytes.Equal(got, f.text) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
}

func TestReceive_LeavesNothingOfAFileThatIsWrong(t *testing.T) {
	const size = 2*protocol.ChunkSize + 5
	for name, break_ := range map[string]func(t *testing.T) (*feeding, func(error) bool){
		"a changed chunk": func(t *testing.T) (*feeding, func(error) bool) {
			f := feed(t, size, Options{}, nil)
			f.chunk(0, func(b []byte) { b[7]++ })
			return f, func(err error) bool { return errors.Is(err, e2ee.ErrAuthentication) }
		},
		"another sealed hash": func(t *testing.T) (*feeding, func(error) bool) {
			f := feed(t, size, Options{}, func(m *e2ee.Meta) { m.SHA256 = e2ee.Hash(nil) })
			for i := range f.total {
				f.chunk(i, nil)
			}
			return f, func(err error) bool { return errors.Is(err, ErrCorrupt) }
		},
		"another hash at the end": func(t *testing.T) (*feeding, func(error) bool) {
			f := feed(t, size, Options{}, nil)
			for i := range f.total {
				f.chunk(i, nil)
			}
			f.finish(e2ee.Hash(nil))
			return f, func(err error) bool { return errors.Is(err, ErrCorrupt) }
		},
		"a size that the server made up": func(t *testing.T) (*feeding, func(error) bool) {
			f := feed(t, size, Options{}, func(m *e2ee.Meta) { m.Size = 5 })
			f.end <- ErrCorrupt // refused before there is a transfer
			f.k.expect(protocol.TypeCancelFile)
			return f, func(err error) bool { return errors.Is(err, ErrCorrupt) }
		},
		"suite 1, a wrong hash": func(t *testing.T) (*feeding, func(error) bool) {
			f := feed(t, size, Options{AllowLegacy: true, Suite: 1}, nil)
			for i := range f.total {
				f.chunk(i, nil)
			}
			f.finish(e2ee.Hash(nil))
			return f, func(err error) bool { return errors.Is(err, ErrCorrupt) }
		},
		"told by the server": func(t *testing.T) (*feeding, func(error) bool) {
			f := feed(t, size, Options{}, nil)
			f.chunk(0, nil)
			f.k.send(protocol.ServerFrame{Type: protocol.TypeFileError, FileID: []byte(f.id), Code: protocol.TooSlow, Text: "slow"})
			return f, func(err error) bool { return IsCode(err, protocol.TooSlow) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, is := break_(t)
			if err := receive(t, f.end); !is(err) {
				t.Errorf("the transfer ended with %v", err)
			}
			f.empty()
		})
	}
}

func TestReceive_Suite1AcksAForgedChunkLikeAnyOther(t *testing.T) {
	f := feed(t, 2*protocol.ChunkSize+5, Options{AllowLegacy: true, Suite: 1}, nil)
	for i := range f.total {
		f.chunk(i, func(b []byte) { b[len(b)-17]++ }) // the padding
	}
	f.acked(f.total)
	f.finish(e2ee.Hash(f.text))
	if err := receive(t, f.end); !errors.Is(err, ErrCorrupt) {
		t.Errorf("the transfer ended with %v, want %v", err, ErrCorrupt)
	}
	if got := f.k.expect(protocol.TypeFileAck); int(got.Next) != f.total { // as after a file that is right
		t.Errorf("acked %d, want %d", got.Next, f.total)
	}
	f.empty()
}

func TestReceive_RefusesSuite1WhereItIsNotAllowed(t *testing.T) {
	f := feed(t, 10, Options{Suite: 1}, nil)
	f.k.expect(protocol.TypeCancelFile)
	f.empty()
}

func TestReceive_ResumesFromWhatIsWritten(t *testing.T) {
	f := feed(t, 20*protocol.ChunkSize, Options{}, nil)
	for i := range 10 {
		f.chunk(i, nil)
	}
	f.acked(8)
	f.k.nc.Close()
	k := f.k.p.welcome()
	var next int
	for range 2 { // subscribe and file_resume, in either order
		switch g := k.next(); g.Type {
		case protocol.TypeSubscribe:
			k.send(protocol.ServerFrame{Type: protocol.TypeSubscribeResponse, Success: true, Topic: g.Topic})
		case protocol.TypeFileResume:
			next = int(g.Next)
		default:
			t.Fatalf("got %s", g.raw)
		}
	}
	if next < 8 || next > 10 {
		t.Fatalf("resumed at %d, want 8 to 10", next)
	}
	// The server does not know of it yet: it is asked again.
	k.send(protocol.ServerFrame{Type: protocol.TypeFileError, FileID: []byte(f.id), Code: protocol.NotFound, Text: "wait"})
	if g := k.expect(protocol.TypeFileResume); int(g.Next) != next {
		t.Fatalf("resumed at %d, want %d again", g.Next, next)
	}
	f.k = k
	for i := next; i < f.total; i++ {
		f.chunk(i, nil)
	}
	f.finish("")
	if err := receive(t, f.end); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(f.dir, "fed")); err != nil || !bytes.Equal(got, f.text) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
}

// sendTo sends a file to a peer in the server's place.
func sendTo(t *testing.T, size int, r io.Reader) (*peer, *peerConn, chan error) {
	t.Helper()
	p := newPeer(t)
	c, k := connect(t, p, nil)
	done := make(chan error, 1)
	p.wg.Go(func() { done <- c.SendFile(testContext(t), "files", "x", int64(size), r, FileOptions{}) })
	return p, k, done
}

// chunks reads chunks from to to-1.
func (k *peerConn) chunks(from, to int) {
	k.p.t.Helper()
	for i := from; i < to; i++ {
		f := k.next()
		if f.chunk == nil || int(f.chunk.Index) != i {
			k.p.t.Fatalf("got %.80q, want chunk %d", f.raw, i)
		}
	}
}

func (k *peerConn) progress(id []byte, acked int, done bool) {
	k.send(protocol.ServerFrame{Type: protocol.TypeFileProgress, FileID: id, Receivers: 1, Acked: int64(acked), Done: done})
}

func TestSend_KeepsToItsWindow(t *testing.T) {
	const total = 200
	_, k, done := sendTo(t, total*protocol.ChunkSize, bytes.NewReader(content(total*protocol.ChunkSize)))
	init := k.expect(protocol.TypeInitFile)
	if init.FileName != nil || init.Meta == nil || init.TotalChunks != total {
		t.Errorf("init_file %s: want no name, sealed meta, %d chunks", init.raw, total)
	}
	k.progress(init.FileID, 0, false)
	k.chunks(0, protocol.FileWindow)
	select {
	case f := <-k.frames:
		t.Fatalf("got %.40q beyond the window", f.raw)
	case <-time.After(20 * time.Millisecond): // what comes later than that is missed, never invented
	}
	for acked := 1; acked <= total-protocol.FileWindow; acked++ {
		k.progress(init.FileID, acked, false)
		k.chunks(protocol.FileWindow+acked-1, protocol.FileWindow+acked)
	}
	if end := k.expect(protocol.TypeEndFile); end.Hash != nil {
		t.Errorf("end_file tells the hash of a sealed file: %s", end.raw)
	}
	select {
	case err := <-done:
		t.Fatalf("SendFile = %v before all had it", err)
	default:
	}
	k.progress(init.FileID, total, true)
	if err := receive(t, done); err != nil {
		t.Fatal(err)
	}
}

func TestSend_GoesBackWhereItIsTold(t *testing.T) {
	const total = 200
	text := content(total * protocol.ChunkSize)
	for name, source := range map[string]io.Reader{"seekable": bytes.NewReader(text), "stream": stream{bytes.NewReader(text)}} {
		t.Run(name, func(t *testing.T) {
			_, k, done := sendTo(t, len(text), source)
			id := k.expect(protocol.TypeInitFile).FileID
			k.progress(id, 0, false)
			sealed := make(map[uint32]string)
			take := func(from, to int) {
				t.Helper()
				for i := from; i < to; i++ {
					f := k.next()
					if f.chunk == nil || int(f.chunk.Index) != i {
						t.Fatalf("got %.80q, want chunk %d", f.raw, i)
					}
					if was, again := sealed[f.chunk.Index]; again && was != string(f.chunk.Payload) {
						t.Fatalf("chunk %d was sealed twice, differently, with one nonce", i)
					}
					sealed[f.chunk.Index] = string(f.chunk.Payload)
				}
			}
			take(0, 64)
			k.progress(id, 40, false)
			take(64, 104)
			k.progress(id, 45, false)
			take(104, 109)
			k.progress(id, 46, false)
			take(109, 110)
			k.progress(id, 44, false) // less than before; the window's beginning is 46, and 44 is gone from it
			if name == "stream" {
				if err := receive(t, done); !errors.Is(err, errGoneBack) {
					t.Errorf("SendFile = %v, want %v", err, errGoneBack)
				}
				k.expect(protocol.TypeCancelFile)
				return
			}
			take(44, 108)
			k.progress(id, 100, false)
			take(108, 164)
			k.progress(id, 120, false)
			take(164, 184)
			k.progress(id, 119, false) // gone again by its window's length
			k.next()
			k.send(protocol.ServerFrame{Type: protocol.TypeFileError, FileID: id, Code: protocol.NoReceivers, Text: "gone"})
			if err := receive(t, done); !IsCode(err, protocol.NoReceivers) {
				t.Errorf("SendFile = %v, want %v", err, protocol.NoReceivers)
			}
		})
	}
}

func TestSend_NeverSealsAChangedChunkAgain(t *testing.T) {
	text := content(100 * protocol.ChunkSize)
	_, k, done := sendTo(t, len(text), bytes.NewReader(text))
	id := k.expect(protocol.TypeInitFile).FileID
	k.progress(id, 0, false)
	k.chunks(0, 64)
	k.progress(id, 36, false)
	k.chunks(64, 100)
	k.expect(protocol.TypeEndFile)
	text[5*protocol.ChunkSize]++
	k.progress(id, 5, false)
	k.expect(protocol.TypeCancelFile)
	if err := receive(t, done); !errors.Is(err, ErrSource) {
		t.Errorf("SendFile = %v, want %v", err, ErrSource)
	}
}

func TestSend_GoesOnOnANewConnectionFromWhereItIsTold(t *testing.T) {
	const total = 100
	p, k, done := sendTo(t, total*protocol.ChunkSize, stream{bytes.NewReader(content(total * protocol.ChunkSize))})
	first := k.expect(protocol.TypeInitFile)
	k.progress(first.FileID, 0, false)
	k.chunks(0, 64)
	k.progress(first.FileID, 20, false)
	k.chunks(64, 84)
	k.nc.Close()
	k = p.welcome()
	again := k.expect(protocol.TypeInitFile)
	if again.raw != first.raw {
		t.Errorf("init_file again is %s, want %s", again.raw, first.raw)
	}
	// The old connection is not known to be gone: it is asked again.
	k.send(protocol.ServerFrame{Type: protocol.TypeFileError, FileID: first.FileID, Code: protocol.Conflict, Text: "in use"})
	k.expect(protocol.TypeInitFile)
	k.progress(first.FileID, 30, false)
	k.chunks(30, 94)
	k.progress(first.FileID, total-protocol.FileWindow, false)
	k.chunks(94, total)
	k.expect(protocol.TypeEndFile)
	k.progress(first.FileID, total, true)
	if err := receive(t, done); err != nil {
		t.Fatal(err)
	}
}

// fickle is a source whose content changes between two readings.
type fickle struct {
	*bytes.Reader
	text []byte
	once sync.Once
}

func (f *fickle) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		f.once.Do(func() { f.text[len(f.text)-1]++ })
	}
	return f.Reader.Seek(offset, whence)
}

func TestSend_RefusesASourceThatIsNotWhatItPromised(t *testing.T) {
	text := content(10)
	for name, source := range map[string]io.Reader{
		"too short": stream{bytes.NewReader(text[:9])}, "changed": &fickle{Reader: bytes.NewReader(text), text: text},
	} {
		c, _ := connect(t, newPeer(t), nil)
		if err := c.SendFile(testContext(t), "files", "x", 10, source, FileOptions{}); !errors.Is(err, ErrSource) {
			t.Errorf("%s: SendFile = %v, want %v", name, err, ErrSource)
		}
	}
}

func TestSafeName_IsOneHarmlessElement(t *testing.T) {
	for name, want := range map[string]string{
		"report.pdf":       "report.pdf",
		"../../etc/passwd": "passwd",
		`..\..\boot.ini`:   "boot.ini",
		"/":                "file",
		"..":               "file",
		"...":              "file",
		".bashrc":          "bashrc",
		"a\x00b\nc":        "a_b_c",
		"x\u202Efdp.exe":   "x_fdp.exe",
		"":                 "file",
		"C:evil":           "C_evil",
		" name. ":          "name",
		"küche ☕.txt":      "küche ☕.txt",
	} {
		if got := safeName(name); got != want {
			t.Errorf("safeName(%q) = %q, want %q", name, got, want)
		}
	}
	long := safeName(strings.Repeat("ü", 300) + ".tar.gz")
	if len(long) > maxName || !strings.HasSuffix(long, ".gz") {
		t.Errorf("a long name became %q (%d bytes)", long, len(long))
	}
}

func FuzzSafeName(f *testing.F) {
	f.Add("../x")
	f.Add("a/b\\c")
	f.Fuzz(func(t *testing.T, name string) {
		got := safeName(name)
		if got == "" || got[0] == '.' || strings.ContainsAny(got, "/\\\x00") || len(got) > maxName || !filepath.IsLocal(got) || filepath.Base(got) != got {
			t.Errorf("safeName(%q) = %q", name, got)
		}
	})
}

func TestDirSink_LeavesNothingWhereItCannotCommit(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "taken", "inside"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := newDirSink(dir, FileOffer{Name: "taken"}, DirOptions{Overwrite: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(); err == nil {
		t.Error("a directory was overwritten")
	}
	if names := readDir(t, dir); !slices.Equal(names, []string{"taken"}) {
		t.Errorf("left behind: %q", names)
	}
}

func TestDirSink_OverwritesNothingUnlessToldTo(t *testing.T) {
	dir := t.TempDir()
	put := func(text string, o DirOptions) {
		t.Helper()
		s, err := newDirSink(dir, FileOffer{Name: "a.txt"}, o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/nowhere/else", filepath.Join(dir, "a (1).txt")); err != nil {
		t.Fatal(err)
	}
	put("1", DirOptions{})
	put("2", DirOptions{})
	put("3", DirOptions{Overwrite: true})
	names := readDir(t, dir)
	slices.Sort(names)
	if want := []string{"a (1).txt", "a (2).txt", "a.txt"}; !slices.Equal(names, want) {
		t.Fatalf("files %q, want %q", names, want)
	}
	for name, want := range map[string]string{"a.txt": "3", "a (2).txt": "2"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s = %q, %v, want %q", name, got, err, want)
		}
	}
}
