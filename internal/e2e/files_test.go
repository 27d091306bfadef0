package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/internal/rig"
)

var (
	filesMiB   = flag.Int("files.mib", 48, "size of the file that crosses nodes")
	filesPause = flag.Duration("files.pause", 5*time.Second, "how long one of its receivers stands still")
)

// maxGrowth is what a file may cost each node in memory, whatever its size.
const maxGrowth = 32 << 20

// sink takes a file and keeps its hash alone. At half it stands still, if it is to.
type sink struct {
	hash.Hash
	taken, pauseAt int64
	ended          chan error
}

func (s *sink) Write(p []byte) (int, error) {
	s.taken += int64(len(p))
	if s.pauseAt > 0 && s.taken >= s.pauseAt {
		s.pauseAt = 0
		time.Sleep(*filesPause) // it is what a slow disk does
	}
	return s.Hash.Write(p)
}

func (s *sink) Commit() error { return nil }
func (s *sink) Abort(error)   {}

func dial(t *testing.T, n *rig.Node, session string, key e2ee.Key) *client.Client {
	t.Helper()
	c, err := client.Connect(t.Context(), client.Options{URL: "ws" + n.URL()[len("http"):] + "/ws", SessionName: session, Password: "password", AESKey: key.Base64()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return c
}

// receive takes the next file of the topic.
func receive(t *testing.T, c *client.Client, pauseAt int64) *sink {
	t.Helper()
	s := &sink{Hash: sha256.New(), pauseAt: pauseAt, ended: make(chan error, 1)}
	err := c.ReceiveFiles(t.Context(), "files", func(client.FileOffer) (client.FileSink, error) { return s, nil },
		client.ReceiveOptions{Done: func(_ client.FileOffer, err error) { s.ended <- err }})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// file is size bytes that look random and are always the same, again after each rewind.
type file struct {
	io.Reader
	size int64
}

func (f *file) rewind() { f.Reader = io.LimitReader(rand.NewChaCha8([32]byte{1}), f.size) }

// memory reads a figure of a process's memory, in bytes.
func memory(t *testing.T, pid int, name string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("no %s in %s", name, b)
	}
	kib, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return kib << 10
}

// settled is a node's memory once what its start and the logins took is given back: else a file would hide in it.
func settled(t *testing.T, n *rig.Node) int64 {
	t.Helper()
	least, since := int64(1<<62), time.Now()
	for time.Since(since) < 2*time.Second {
		response, err := http.Get(n.OpsURL() + "/debug/pprof/heap?gc=1")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if now := memory(t, n.PID(), "VmRSS"); now < least-least/100 {
			least, since = now, time.Now()
		}
		time.Sleep(100 * time.Millisecond) // the runtime gives back at its own pace
	}
	return least
}

func TestFiles_CrossNodesByteForByteInBoundedMemory(t *testing.T) {
	c, err := rig.Start(t.Context(), rig.Options{Nodes: 3, Binary: binary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	key, size := e2ee.NewKey(), int64(*filesMiB)<<20
	if _, err := client.CreateSession(t.Context(), c.Node(0).URL(), client.SessionSpec{SessionName: "files", Password: "password", Key: key}); err != nil {
		t.Fatal(err)
	}
	sinks := []*sink{
		receive(t, dial(t, c.Node(1), "files", key), 0),
		receive(t, dial(t, c.Node(2), "files", key), 0),
		receive(t, dial(t, c.Node(2), "files", key), size/2),
	}
	sender := dial(t, c.Node(0), "files", key)
	warm := []byte("what every node pays once")
	if err := sender.SendFile(t.Context(), "files", "warm", int64(len(warm)), bytes.NewReader(warm), client.FileOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, s := range sinks {
		if err := <-s.ended; err != nil {
			t.Fatal(err)
		}
		s.Reset()
		s.taken = 0
	}
	var before []int64
	for _, n := range c.Nodes {
		before = append(before, settled(t, n))
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", n.PID()), []byte("5"), 0); err != nil { // the peak begins anew
			t.Fatal(err)
		}
	}

	source := &file{size: size}
	source.rewind()
	begun := time.Now()
	if err := sender.SendFile(t.Context(), "files", "big", size, source, client.FileOptions{}); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begun)
	source.rewind()
	want := sha256.New()
	io.Copy(want, source)
	for i, s := range sinks {
		if err := <-s.ended; err != nil || !bytes.Equal(s.Sum(nil), want.Sum(nil)) {
			t.Errorf("receiver %d: %d bytes of %d, %v", i, s.taken, size, err)
		}
	}
	t.Logf("%d MiB to %d receivers on two other nodes in %v: %.1f MB/s", *filesMiB, len(sinks), took, float64(size)/1e6/(took-*filesPause).Seconds())
	for i, n := range c.Nodes {
		grown := memory(t, n.PID(), "VmHWM") - before[i]
		t.Logf("%s grew by %.1f MiB from %.1f", n.Name(), float64(grown)/(1<<20), float64(before[i])/(1<<20))
		if grown > maxGrowth {
			t.Errorf("%s grew by %d bytes, want %d at most", n.Name(), grown, maxGrowth)
		}
	}
}

// What one end says while the other has moved to another node, or its node was killed, loses nothing.
func TestFiles_GoOnWhenNodesAreKilled(t *testing.T) {
	c, err := rig.Start(t.Context(), rig.Options{Nodes: 3, Binary: binary, Nginx: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	key, size := e2ee.NewKey(), int64(24<<20)
	if _, err := client.CreateSession(t.Context(), c.Node(0).URL(), client.SessionSpec{SessionName: "files", Password: "password", Key: key}); err != nil {
		t.Fatal(err)
	}
	connect := func(id string) *client.Client {
		k, err := client.Connect(t.Context(), client.Options{URL: "ws" + c.Nginx.URL()[len("http"):] + "/ws", SessionName: "files", Password: "password",
			AESKey: key.Base64(), ClientID: id, BackoffMax: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			k.Close(ctx)
		})
		return k
	}
	var sinks []*sink
	for i := range 3 {
		sinks = append(sinks, receive(t, connect(fmt.Sprint("r", i)), 0))
	}
	content, err := io.ReadAll(io.LimitReader(rand.NewChaCha8([32]byte{1}), size))
	if err != nil {
		t.Fatal(err)
	}
	var killed sync.WaitGroup
	defer killed.Wait()
	kill := func(i int) {
		killed.Go(func() {
			if err := errors.Join(c.Node(i).Kill(), c.Node(i).Start()); err != nil {
				t.Error(err)
			}
		})
	}
	next := 0
	slow := client.FileOptions{Progress: func(p client.FileProgress) {
		if next < 3 && p.Done > size/8*int64(2*next+1) { // each node once, the sender's own among them
			killed.Wait()
			kill(next)
			next++
		}
	}}
	if err := connect("s").SendFile(t.Context(), "files", "big", size, bytes.NewReader(content), slow); err != nil {
		t.Fatalf("%v after %d of 3 kills", err, next)
	}
	want := sha256.Sum256(content)
	for i, s := range sinks {
		if err := <-s.ended; err != nil || !bytes.Equal(s.Sum(nil), want[:]) {
			t.Errorf("receiver %d: %d bytes of %d, %v", i, s.taken, size, err)
		}
	}
	if next != 3 {
		t.Errorf("%d nodes were killed, want 3", next)
	}
}
