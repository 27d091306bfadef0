package storagetest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fastport/fastport/storage"
)

// Bench measures a store: appending by group size and by callers at the same time, settling, and sweeping. All messages
// have 128 bytes; a message is one operation.
func Bench(b *testing.B, open func(b *testing.B) storage.Store) {
	for _, size := range []int{1, 16, 128, 1000} {
		b.Run(fmt.Sprintf("append/group=%d", size), func(b *testing.B) { benchAppend(b, open(b), 1, size) })
	}
	for _, callers := range []int{16, 128} {
		b.Run(fmt.Sprintf("append/group=1/callers=%d", callers), func(b *testing.B) { benchAppend(b, open(b), callers, 1) })
	}
	b.Run("settle/batch=128", func(b *testing.B) { benchSettle(b, open(b)) })
	b.Run("sweep", func(b *testing.B) { benchSweep(b, open(b)) })
	b.Run("sweep/idle", func(b *testing.B) {
		st := open(b)
		benchFill(b, st, benchTopics(b, st, 10), 1000)
		mustSweep(b, st)
		for b.Loop() {
			mustSweep(b, st)
		}
	})
}

// benchTopics makes topics with one durable reader each, all of one session.
func benchTopics(b *testing.B, st storage.Store, n int) []storage.Topic {
	b.Helper()
	ss := NewSession()
	must(b, st.CreateSession(b.Context(), ss))
	topics := make([]storage.Topic, n)
	for i := range topics {
		topics[i] = storage.Topic{Session: ss.ID, Name: fmt.Sprint("topic-", i)}
		_, err := st.Subscribe(b.Context(), "c:reader", topics[i], true)
		must(b, err)
	}
	return topics
}

func benchGroup(topics []storage.Topic, from, size int) []storage.Entry {
	group := make([]storage.Entry, size)
	for i := range group {
		group[i] = storage.Entry{
			Topic: topics[(from+i)%len(topics)], MessageID: fmt.Sprintf("%032d", from+i), Origin: "c:writer",
			Data: make([]byte, 128), Timestamp: 1, Expiry: time.Hour,
		}
	}
	return group
}

func benchFill(b *testing.B, st storage.Store, topics []storage.Topic, n int) {
	b.Helper()
	for from := 0; from < n; from += 1000 {
		_, _, err := st.Append(context.Background(), benchGroup(topics, from, min(1000, n-from)))
		must(b, err)
	}
}

func benchAppend(b *testing.B, st storage.Store, callers, size int) {
	topics := benchTopics(b, st, 10)
	var next atomic.Int64
	b.SetParallelism(max(callers/2, 1))
	groups := func(more func() bool) {
		for more() {
			from := int(next.Add(int64(size))) - size
			got, _, err := st.Append(context.Background(), benchGroup(topics, from, size))
			if err != nil || got[0].Outcome != storage.Stored {
				b.Errorf("append: %+v (%v)", got, err)
				return
			}
		}
	}
	start := time.Now()
	if callers > 1 {
		b.RunParallel(func(pb *testing.PB) { groups(pb.Next) })
	} else {
		groups(b.Loop)
	}
	b.ReportMetric(float64(next.Load())/time.Since(start).Seconds(), "messages/s")
}

func benchSettle(b *testing.B, st storage.Store) {
	topics := benchTopics(b, st, 128)
	seq := uint64(0)
	batch := make([]storage.Settlement, len(topics))
	for b.Loop() {
		if seq%8 == 0 {
			b.StopTimer()
			for i := range 8 { // a message a topic each
				_, _, err := st.Append(context.Background(), benchGroup(topics, (int(seq)+i)*len(topics), len(topics)))
				must(b, err)
			}
			b.StartTimer()
		}
		seq++
		for i := range batch {
			batch[i] = storage.Settlement{Subscriber: "c:reader", Topic: topics[i], Acked: storage.Span(seq, seq)}
		}
		_, err := st.Settle(context.Background(), batch)
		must(b, err)
	}
	b.ReportMetric(float64(seq)*float64(len(batch))/b.Elapsed().Seconds(), "settlements/s")
}

func benchSweep(b *testing.B, st storage.Store) {
	const n = 10_000
	topics := benchTopics(b, st, 10)
	swept := 0
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		for from := 0; from < n; from += 1000 {
			_, _, err := st.Append(context.Background(), benchGroup(topics, i*n+from, 1000))
			must(b, err)
		}
		for _, at := range topics {
			_, err := st.Settle(context.Background(), []storage.Settlement{{Subscriber: "c:reader", Topic: at, Acked: storage.Span(1, 1<<40)}})
			must(b, err)
		}
		b.StartTimer()
		swept += mustSweep(b, st)
	}
	b.ReportMetric(float64(swept)/b.Elapsed().Seconds(), "messages/s")
}

func mustSweep(b *testing.B, st storage.Store) (settled int) {
	b.Helper()
	for {
		got, err := st.Sweep(context.Background())
		must(b, err)
		settled += got.Settled
		if !got.More {
			return settled
		}
	}
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
