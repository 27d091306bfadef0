package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	bus "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"

	"time"
)

// benchClients are clients of one session, on a broker in this process with its store in memory.
func benchClients(b *testing.B, n int, change func(*Options)) []*Client {
	b.Helper()
	store := memory.Open(storage.Options{}, time.Now)
	broker, err := startNode("bench", store, bus.NewBus())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { broker.end(); store.Close() })
	key := e2ee.NewKey()
	ctx := context.Background()
	at := broker.ln.Addr().String()
	if _, err := CreateSession(ctx, "http://"+at, SessionSpec{SessionName: testSession, Password: "p", Key: key}); err != nil {
		b.Fatal(err)
	}
	var list []*Client
	for range n {
		o := Options{URL: "ws://" + at, SessionName: testSession, Password: "p", AESKey: key.Base64()}
		if change != nil {
			change(&o)
		}
		c, err := Connect(ctx, o)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close(ctx) })
		list = append(list, c)
	}
	return list
}

// BenchmarkPublish: acked publishes a second of one connection to one subscriber, broker included, by size of payload.
func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			pair := benchClients(b, 2, nil)
			ctx := context.Background()
			got := make(chan struct{}, 1<<16)
			if err := pair[0].Subscribe(ctx, "t", func(context.Context, Message) error { got <- struct{}{}; return nil }); err != nil {
				b.Fatal(err)
			}
			payload := make([]byte, size)
			b.ReportAllocs()
			b.ResetTimer()
			go func() {
				for range b.N {
					if _, err := pair[1].PublishAsync(ctx, "t", payload); err != nil {
						b.Error(err)
					}
				}
			}()
			for range b.N {
				<-got
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkFile: one sender, one receiver, broker included; an operation is 64 MiB.
func BenchmarkFile(b *testing.B) {
	for _, suite := range []int{1, 2} {
		b.Run(fmt.Sprintf("suite=%d", suite), func(b *testing.B) {
			const size = 1024 * protocol.ChunkSize
			pair := benchClients(b, 2, func(o *Options) { o.Suite, o.AllowLegacy = suite, true })
			ctx := context.Background()
			if err := pair[0].ReceiveFiles(ctx, "t", func(FileOffer) (FileSink, error) { return discard{io.Discard}, nil }, ReceiveOptions{}); err != nil {
				b.Fatal(err)
			}
			text := make([]byte, size)
			b.SetBytes(size)
			for b.Loop() {
				if err := pair[1].SendFile(ctx, "t", "x", size, bytes.NewReader(text), FileOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type discard struct{ io.Writer }

func (discard) Commit() error { return nil }
func (discard) Abort(error)   {}
