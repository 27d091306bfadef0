package postgres_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/fastport/fastport/internal/testenv"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/storagetest"
)

func TestAppend_GroupsInOppositeOrderDoNotDeadlock(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	dsn := testenv.Postgres(t)
	st := open(t, dsn, storage.Options{})
	at := subscribed(t, st)
	topics := []storage.Topic{at}
	for i := range 20 {
		topic := storage.Topic{Session: at.Session, Name: fmt.Sprint(i)}
		topics = append(topics, topic)
		for _, sub := range []storage.Subscriber{"c:reader", "c:other"} {
			if _, err := st.Subscribe(t.Context(), sub, topic, true); err != nil {
				t.Fatal(err)
			}
		}
	}
	var wg sync.WaitGroup
	for w := range 8 {
		order := slices.Clone(topics)
		if w%2 == 1 {
			slices.Reverse(order)
		}
		wg.Go(func() {
			for g := range 20 {
				var entries []storage.Entry
				for i, topic := range order {
					e := group(topic, 1, fmt.Sprintf("%d-%d-%d", w, g, i))[0]
					e.Origin = "c:other"
					entries = append(entries, e)
				}
				if _, _, err := st.Append(t.Context(), entries); err != nil {
					t.Errorf("append: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if n := deadlocks(t, st, dsn); n != 0 {
		t.Fatalf("%d deadlocks, want none", n)
	}
}

func TestSettle_BatchesInOppositeOrderDoNotDeadlock(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	dsn := testenv.Postgres(t)
	st := open(t, dsn, storage.Options{})
	at := subscribed(t, st)
	var batch []storage.Settlement
	for i := range 60 {
		s := storage.Settlement{Subscriber: "c:reader", Topic: storage.Topic{Session: at.Session, Name: fmt.Sprint(i)}}
		if _, err := st.Subscribe(t.Context(), s.Subscriber, s.Topic, true); err != nil {
			t.Fatal(err)
		}
		if _, _, err := st.Append(t.Context(), group(s.Topic, 200, "m")); err != nil {
			t.Fatal(err)
		}
		batch = append(batch, s)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		own := slices.Clone(batch)
		if w%2 == 1 {
			slices.Reverse(own)
		}
		wg.Go(func() {
			for g := range uint64(15) {
				for i := range own {
					seq := g*8 + uint64(w) + 1
					own[i].Acked = storage.Span(seq, seq)
				}
				if _, err := st.Settle(t.Context(), own); err != nil {
					t.Errorf("settle: %v", err)
				}
				if _, err := st.Attach(t.Context(), at.Session, "c:reader", true); err != nil {
					t.Errorf("attach: %v", err)
				}
			}
		})
	}
	wg.Wait()
	if n := deadlocks(t, st, dsn); n != 0 {
		t.Fatalf("%d deadlocks, want none", n)
	}
}

func TestSweep_OfIDsThatAreTakenAnewDoesNotDeadlock(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	dsn := testenv.Postgres(t)
	st := open(t, dsn, storage.Options{DedupeWindow: 1}) // over at once
	at := subscribed(t, st)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if _, err := st.Sweep(t.Context()); err != nil {
					t.Errorf("sweep: %v", err)
					return
				}
			}
		})
	}
	for g := range 150 {
		entries := group(at, 60, "m")
		rand.Shuffle(len(entries), func(i, k int) { entries[i], entries[k] = entries[k], entries[i] })
		if _, _, err := st.Append(t.Context(), entries); err != nil {
			t.Errorf("append %d: %v", g, err)
			break
		}
	}
	close(done)
	wg.Wait()
	if n := deadlocks(t, st, dsn); n != 0 {
		t.Fatalf("%d deadlocks, want none", n)
	}
}

// Everything at once on a few topics of sessions that come and go: nothing locks in another order, no error but the
// contract's is heard, and nothing is left of what was dropped.
func TestStore_EverythingAtOnceNeitherDeadlocksNorLeavesOrphans(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	dsn := testenv.Postgres(t)
	st := open(t, dsn, storage.Options{DedupeWindow: 1, StoredBytes: 200_000, DurableSubscribers: 40, Topics: 6})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	sessions := make([]storage.Session, 3)
	for i := range sessions {
		sessions[i] = storagetest.NewSession()
	}
	var wg sync.WaitGroup
	for w := range 8 {
		r := rand.New(rand.NewPCG(seed, uint64(w)))
		wg.Go(func() {
			for step := range 150 {
				if err := act(t, st, r, sessions, fmt.Sprintf("%d-%d", w, step)); err != nil && !expected(err) {
					t.Errorf("%v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, ss := range sessions {
		if _, err := st.DropSession(t.Context(), ss.Name); err != nil && !expected(err) {
			t.Fatal(err)
		}
	}
	var left int
	if err := st.Pool().QueryRow(t.Context(), `
		SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM topics) + (SELECT count(*) FROM counters)
			+ (SELECT count(*) FROM subscriptions) + (SELECT count(*) FROM messages) + (SELECT count(*) FROM message_ids)`).Scan(&left); err != nil || left != 0 {
		t.Fatalf("%d rows left (%v), want none", left, err)
	}
	if n := deadlocks(t, st, dsn); n != 0 {
		t.Fatalf("%d deadlocks, want none", n)
	}
}

func expected(err error) bool {
	for _, want := range []error{storage.ErrExists, storage.ErrNotFound, storage.ErrNoSession, storage.ErrQuota} {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

// act does one thing at random.
func act(t *testing.T, st storage.Store, r *rand.Rand, sessions []storage.Session, name string) error {
	ss := sessions[r.IntN(len(sessions))]
	topic := func() storage.Topic { return storage.Topic{Session: ss.ID, Name: fmt.Sprint(r.IntN(5))} }
	sub := func() storage.Subscriber { return storage.Subscriber(fmt.Sprintf("c:%d", r.IntN(6))) }
	seq := func() uint64 { return uint64(r.IntN(60)) + 1 }
	ctx := t.Context()
	switch n := r.IntN(100); {
	case n < 35:
		var entries []storage.Entry
		for i := range r.IntN(12) + 1 {
			e := group(topic(), 1, fmt.Sprintf("%s-%d", name, i))[0]
			if e.Origin = sub(); r.IntN(4) == 0 {
				e.MessageID = fmt.Sprint(r.IntN(10)) // a repeat, perhaps
			}
			if r.IntN(60) == 0 {
				e.MessageID += "\x00"
			}
			entries = append(entries, e)
		}
		_, _, err := st.Append(ctx, entries)
		return err
	case n < 50:
		_, err := st.Subscribe(ctx, sub(), topic(), r.IntN(2) == 0)
		return err
	case n < 55:
		return st.Unsubscribe(ctx, sub(), topic())
	case n < 75:
		var batch []storage.Settlement
		for range r.IntN(10) + 1 {
			lo := seq()
			batch = append(batch, storage.Settlement{Subscriber: sub(), Topic: topic(), Acked: storage.Span(lo, lo+seq())})
		}
		_, err := st.Settle(ctx, batch)
		return err
	case n < 80:
		_, err := st.Attach(ctx, ss.ID, sub(), true)
		return err
	case n < 84:
		return st.Seen(ctx, ss.ID, []storage.Subscriber{sub(), sub(), sub()})
	case n < 88:
		_, err := st.Sweep(ctx)
		return err
	case n < 92:
		_, err := st.Read(ctx, topic(), seq(), 10, 1000)
		return err
	case n < 98:
		return st.CreateSession(ctx, ss)
	default:
		_, err := st.DropSession(ctx, ss.Name)
		return err
	}
}

// deadlocks closes the store, because sessions tell what they saw when they end, and counts.
func deadlocks(t *testing.T, st interface{ Close() error }, dsn string) (n int) {
	t.Helper()
	st.Close()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	eventually(t, "the store's sessions have ended", func() error {
		var others int
		err := conn.QueryRow(t.Context(), `
			SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`).Scan(&others)
		if err == nil && others > 0 {
			err = fmt.Errorf("%d are left", others)
		}
		return err
	})
	if err := conn.QueryRow(t.Context(),
		"SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
