package storagetest

import (
	"fmt"
	"sync"

	"github.com/fastport/fastport/storage"
)

var concurrencyClaims = []claim{
	{"Append_FromManyStaysGapless", storage.Options{}, appendFromMany},
	{"Append_OfOneMessageByManyStoresItOnce", storage.Options{}, repeatByMany},
}

// appendFromMany appends from many goroutines to few topics: no seq is missing or given twice, each writer's own order
// holds, and what is read is what was answered.
func appendFromMany(r *rig) {
	ss := r.session()
	topics := make([]storage.Topic, 3)
	for i := range topics {
		topics[i] = storage.Topic{Session: ss.ID, Name: fmt.Sprint(i)}
		r.subscribe("c:reader", topics[i])
	}
	const writers, groups, size = 12, 10, 9
	given := make([]map[uint64]string, len(topics)) // seq to messageId
	for i := range given {
		given[i] = map[uint64]string{}
	}
	var mu sync.Mutex // guards given
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			var last [3]uint64
			for g := range groups {
				group := make([]storage.Entry, size)
				for i := range group {
					group[i] = entry(topics[(w+g+i)%3], fmt.Sprintf("%d-%d-%d", w, g, i))
				}
				results, _, err := r.st.Append(r.ctx(), group)
				if err != nil {
					r.t.Errorf("append: %v", err)
					return
				}
				mu.Lock()
				for i, got := range results {
					n := (w + g + i) % 3
					if got.Outcome != storage.Stored || got.Seq <= last[n] || given[n][got.Seq] != "" {
						r.t.Errorf("%+v after seq %d, which is given to %q already", got, last[n], given[n][got.Seq])
					}
					last[n], given[n][got.Seq] = got.Seq, group[i].MessageID
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for i, at := range topics {
		got := r.read(at, 0)
		if len(got) != len(given[i]) {
			r.t.Fatalf("topic %d: %d messages, %d were stored", i, len(got), len(given[i]))
		}
		for k, m := range got {
			if m.Seq != uint64(k)+1 || m.MessageID != given[i][m.Seq] {
				r.t.Fatalf("topic %d: message %d is %s with seq %d, want %s", i, k+1, m.MessageID, m.Seq, given[i][uint64(k)+1])
			}
		}
	}
}

// repeatByMany appends the same few messages from many goroutines at once.
func repeatByMany(r *rig) {
	at := r.topic()
	r.subscribe("c:reader", at)
	const writers, messages = 8, 20
	var mu sync.Mutex // guards the following
	stored, seqs := 0, map[string]uint64{}
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := range messages {
				e := entry(at, fmt.Sprint(i))
				results, _, err := r.st.Append(r.ctx(), []storage.Entry{e})
				if err != nil {
					r.t.Errorf("append: %v", err)
					return
				}
				mu.Lock()
				if results[0].Outcome == storage.Stored {
					stored++
				} else if results[0].Outcome != storage.Repeat {
					r.t.Errorf("outcome = %+v, want Stored or Repeat", results[0])
				}
				if known := seqs[e.MessageID]; known != 0 && known != results[0].Seq {
					r.t.Errorf("%s has seq %d and %d", e.MessageID, known, results[0].Seq)
				}
				seqs[e.MessageID] = results[0].Seq
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if got := r.seqs(at); stored != messages || len(got) != messages || got[messages-1] != messages {
		r.t.Fatalf("%d answers of Stored, seqs %v; want %d and 1 to %d", stored, got, messages, messages)
	}
}

// raceSubscribe subscribes newcomers while others append: whatever has a seq above a newcomer's position is stored and
// unsettled for it, and what was appended after a subscribe returned is stored.
func raceSubscribe(r *rig) {
	ss := r.session()
	for round := range 10 { // a new topic each: its first subscriber makes the difference between stored and not
		at := storage.Topic{Session: ss.ID, Name: fmt.Sprint(round)}
		begin, stop := make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		for w := range 3 {
			wg.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					if _, _, err := r.st.Append(r.ctx(), []storage.Entry{entry(at, fmt.Sprintf("%d-%d", w, i))}); err != nil {
						r.t.Errorf("append: %v", err)
						return
					}
					if w == 0 && i == 1 {
						close(begin)
					}
				}
			})
		}
		<-begin
		var positions []storage.Subscription
		for i := range 3 {
			sub := r.subscribe(storage.Subscriber(fmt.Sprintf("c:%d", i)), at)
			positions = append(positions, sub)
			r.stored(entry(at, fmt.Sprintf("after-%d", i)))
		}
		close(stop)
		wg.Wait()
		seqs := r.seqs(at)
		for i, sub := range positions {
			if sub.Settled.Count() != sub.Head || !sub.Settled.Covers(1, sub.Head) {
				r.t.Fatalf("subscriber %d: settled %v at head %d, want all up to the head", i, sub.Settled, sub.Head)
			}
		}
		if first := positions[0]; first.Head != 0 {
			r.t.Fatalf("head = %d before anybody subscribed, want 0", first.Head)
		}
		for i, seq := range seqs {
			if seq != uint64(i)+1 {
				r.t.Fatalf("seq %d at %d: what is owed is not all there: %v", seq, i+1, seqs)
			}
		}
		if now := r.subscribe("c:0", at); now.Head != uint64(len(seqs)) || now.Settled.Count() != 0 {
			r.t.Fatalf("the first subscriber's %+v, want nothing settled and head %d", now, len(seqs))
		}
	}
}
