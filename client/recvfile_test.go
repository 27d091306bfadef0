package client

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// feeding is a client that receives files, a peer in the server's place, and a file to feed it with.
type feeding struct {
	*testing.T
	p      *peer
	k      *peerConn
	init   protocol.ServerFrame
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
	f := &feeding{T: t, p: p, k: k, dir: t.TempDir(), id: newUUID(), text: content(size), total: (size + protocol.ChunkSize - 1) / protocol.ChunkSize}
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
	f.init = init
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

func TestReceive_OneOfTwoConnectionsIsAReceiver(t *testing.T) {
	for _, newFirst := range []bool{true, false} {
		f := feed(t, 3*protocol.ChunkSize, Options{}, nil)
		old := f.k
		f.chunk(0, nil)
		old.askToMove()
		next := f.p.welcome()
		next.subscribe("files")
		// Its sender has begun it again, for all who are subscribed now.
		conns := []*peerConn{next, old}
		if !newFirst {
			conns = []*peerConn{old, next}
		}
		for _, k := range conns {
			k.send(f.init)
		}
		if g := next.expect(protocol.TypeFileResume); g.Next > 1 {
			t.Errorf("resumed at %d", g.Next)
		} else {
			f.k, f.last = next, int(g.Next)
		}
		for cancelled := false; !cancelled; {
			cancelled = old.next().Type == protocol.TypeCancelFile
		}
		for i := f.last; i < f.total; i++ {
			f.chunk(i, nil)
		}
		f.finish("")
		if err := receive(t, f.end); err != nil {
			t.Fatal(err)
		}
	}
}
