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
	"strings"
	"testing"
	"time"

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
