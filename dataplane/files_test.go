package dataplane_test

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/protocol"
)

// content is n bytes that look random and are always the same.
func content(n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{1}), n)
}

func digest(r io.Reader) [32]byte {
	h := sha256.New()
	io.Copy(h, r)
	return [32]byte(h.Sum(nil))
}

// sink takes a file: it hashes it, and stands still while paused.
type sink struct {
	hash.Hash
	ends chan error

	mu    sync.Mutex // held while paused
	tell  func(bytes int64)
	bytes int64
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += int64(len(p))
	if s.tell != nil {
		s.tell(s.bytes)
	}
	return s.Hash.Write(p)
}

func (s *sink) Commit() error { return nil }
func (s *sink) Abort(error)   {}

// receive has a device receive topic's files.
func (r *rig) receive(d *device, tell func(bytes int64)) *sink {
	r.Helper()
	s := &sink{Hash: sha256.New(), ends: make(chan error, 10), tell: tell}
	err := d.ReceiveFiles(r.ctx(), "files", func(client.FileOffer) (client.FileSink, error) { return s, nil },
		client.ReceiveOptions{Done: func(_ client.FileOffer, err error) { s.ends <- err }})
	if err != nil {
		r.Fatal(err)
	}
	return s
}

func (r *rig) wantWhole(s *sink, want [32]byte) {
	r.Helper()
	select {
	case err := <-s.ends:
		if got := [32]byte(s.Sum(nil)); err != nil || got != want {
			r.Fatalf("received %d bytes, %v; digest right: %t", s.bytes, err, got == want)
		}
	case <-time.After(time.Minute):
		r.Fatalf("no end after %d bytes", s.bytes)
	}
}

func TestFiles_ReachReceiversOnEveryNodeByteForByte(t *testing.T) {
	r := newRig(t, 3)
	const size = 200*protocol.ChunkSize + 7
	want := digest(content(size))
	var sinks []*sink
	for _, n := range []int{0, 1, 1, 2} {
		sinks = append(sinks, r.receive(r.connect(r.nodes[n], nil), nil))
	}
	var last client.FileProgress
	b, _ := io.ReadAll(content(size))
	err := r.connect(r.nodes[0], nil).SendFile(r.ctx(), "files", "name", size, bytes.NewReader(b), client.FileOptions{
		Progress: func(p client.FileProgress) { last = p }})
	if err != nil {
		t.Fatal(err)
	}
	if last.Receivers != 4 || last.Done != size {
		t.Errorf("last progress: %+v", last)
	}
	for _, s := range sinks {
		r.wantWhole(s, want)
	}
}
