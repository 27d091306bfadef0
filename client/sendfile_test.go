package client

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/protocol"
)

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

func TestSend_GoesBackTwiceInARow(t *testing.T) {
	const total = 200
	_, k, done := sendTo(t, total*protocol.ChunkSize, bytes.NewReader(content(total*protocol.ChunkSize)))
	id := k.expect(protocol.TypeInitFile).FileID
	k.progress(id, 0, false)
	k.chunks(0, 64)
	k.progress(id, 64, false)
	k.chunks(64, 128)
	k.progress(id, 50, false) // gone from the window: it is sealed again from there
	k.progress(id, 40, false) // and so is this, though it is less than a window behind
	next := k.next()
	for want := uint32(50); next.chunk != nil && next.chunk.Index == want; want++ {
		next = k.next() // it was on its way already
	}
	if next.chunk == nil || next.chunk.Index != 40 {
		t.Fatalf("got %.80q, want chunk 40", next.raw)
	}
	k.chunks(41, 104)
	k.progress(id, total, true)
	if err := receive(t, done); err != nil {
		t.Fatal(err)
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

// TestSend_KeepsWhatTheLastToComeBackMayMiss has a server that has lost the file, and hears of its receivers one by one.
func TestSend_KeepsWhatTheLastToComeBackMayMiss(t *testing.T) {
	const total = 100
	for name, lose := range map[string]func(*peer, *peerConn) *peerConn{
		"with the connection": func(p *peer, k *peerConn) *peerConn {
			k.nc.Close()
			k = p.welcome()
			k.expect(protocol.TypeInitFile)
			return k
		},
		"behind the connection": func(_ *peer, k *peerConn) *peerConn { return k },
	} {
		t.Run(name, func(t *testing.T) {
			p, k, done := sendTo(t, total*protocol.ChunkSize, stream{bytes.NewReader(content(total * protocol.ChunkSize))})
			id := k.expect(protocol.TypeInitFile).FileID
			tell := func(receivers int, acked int64) {
				k.send(protocol.ServerFrame{Type: protocol.TypeFileProgress, FileID: id, Receivers: receivers, Acked: acked})
			}
			tell(2, 0)
			k.chunks(0, 64)
			tell(2, 20)
			k.chunks(64, 84)
			for range 2 { // the second server is lost too, before all are back
				k = lose(p, k)
				tell(1, 36) // a server that makes a sender go back which does not know why
				tell(1, 35)
				// It may have sent all from 36 on before it hears of 35.
				for again := false; ; {
					f := k.next()
					if again = again || f.chunk.Index == 35; again && f.chunk.Index == 83 {
						break
					}
				}
				tell(1, 84)
				select {
				case f := <-k.frames:
					t.Fatalf("got %.40q: chunks 20 to 83 may be asked for", f.raw)
				case <-time.After(20 * time.Millisecond): // what comes later than that is missed, never invented
				}
			}
			tell(2, 20)
			k.chunks(20, 84)
			tell(2, 40)
			k.chunks(84, total)
			k.expect(protocol.TypeEndFile)
			k.progress(id, total, true)
			if err := receive(t, done); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestSend_AReceiverThatLeavesHoldsNothingUp(t *testing.T) {
	const total = 128
	_, k, done := sendTo(t, total*protocol.ChunkSize, stream{bytes.NewReader(content(total * protocol.ChunkSize))})
	id := k.expect(protocol.TypeInitFile).FileID
	k.send(protocol.ServerFrame{Type: protocol.TypeFileProgress, FileID: id, Receivers: 2})
	k.chunks(0, 64)
	k.progress(id, 0, false) // it has one
	k.progress(id, 64, false)
	k.chunks(64, total)
	k.expect(protocol.TypeEndFile)
	k.progress(id, total, true)
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
