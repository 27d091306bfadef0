package postgres_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/fastport/fastport/internal/testenv"
	"github.com/fastport/fastport/storage"
)

// Axes: messages a group, and groups at once, each on a topic of its own. 128 bytes a message; every group is synced.
func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 8} {
		for _, size := range []int{1, 16, 128, 1000} {
			b.Run(fmt.Sprintf("writers=%d/group=%d", writers, size), func(b *testing.B) { benchAppend(b, writers, size) })
		}
	}
}

func benchAppend(b *testing.B, writers, size int) {
	st := open(b, testenv.Postgres(b), storage.Options{StoredBytes: 1 << 40})
	topics := make([]storage.Topic, writers)
	for w := range topics {
		topics[w] = subscribed(b, st)
	}
	var done atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for w, at := range topics {
		wg.Go(func() {
			for {
				g := done.Add(1)
				if g > int64(b.N) {
					return
				}
				results, _, err := st.Append(b.Context(), group(at, size, fmt.Sprintf("%d-%d", w, g)))
				if err != nil || results[0].Outcome != storage.Stored {
					b.Errorf("append = %+v, %v", results, err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "msg/s")
}

// Axis: subscriptions a batch; each settles one seq more, as under steady load.
func BenchmarkSettle(b *testing.B) {
	for _, size := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			st := open(b, testenv.Postgres(b), storage.Options{})
			at := subscribed(b, st)
			if _, _, err := st.Append(b.Context(), group(at, 20000, "m")); err != nil {
				b.Fatal(err)
			}
			batch := make([]storage.Settlement, size)
			for i := range batch {
				batch[i] = storage.Settlement{Subscriber: storage.Subscriber(fmt.Sprintf("c:%d", i)), Topic: at}
				if _, err := st.Subscribe(b.Context(), batch[i].Subscriber, at, true); err != nil {
					b.Fatal(err)
				}
			}
			if _, err := st.Pool().Exec(b.Context(), "UPDATE subscriptions SET settled = '{}'"); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			for n := range b.N {
				for i := range batch {
					batch[i].Acked = storage.Span(1, uint64(n%20000)+1)
				}
				if _, err := st.Settle(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "settles/s")
		})
	}
}
