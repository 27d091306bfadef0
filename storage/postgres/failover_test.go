package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/internal/testenv"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/postgres"
)

// foundWithin is what a node may need to find the new primary: 5 s, and as much again for a machine that is busy.
const foundWithin = 10 * time.Second

// attempt is an append as the engine makes it: with a deadline.
func attempt(st *postgres.Store, entries []storage.Entry) ([]storage.Appended, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return st.Append(ctx, entries)
}

func TestFailover_OfAnAwaitedStandbyLosesNothingThatWasAcked(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	primary := testenv.StartPostgres(t)
	standby := primary.Standby()
	primary.Synchronous(standby)
	st := open(t, testenv.Hosts(primary.Database(), primary, standby), storage.Options{})
	at := subscribed(t, st)
	_, before, err := attempt(st, group(at, 1, "first"))
	if err != nil {
		t.Fatal(err)
	}
	const writers = 4
	acked := make([]map[uint64]string, writers) // seq to messageId
	enough := make(chan struct{}, writers*10)
	over := make(chan struct{}) // the standby was promoted
	var wg sync.WaitGroup
	for w := range writers {
		acked[w] = map[uint64]string{}
		wg.Go(func() {
			for g := 0; ; g++ {
				entries := group(at, 5, fmt.Sprintf("%d-%d", w, g))
				results, epoch, err := attempt(st, entries)
				for err != nil { // as the engine does: the same again, until it is answered
					time.Sleep(20 * time.Millisecond)
					results, epoch, err = attempt(st, entries)
				}
				for i, got := range results {
					acked[w][got.Seq] = entries[i].MessageID
				}
				select {
				case enough <- struct{}{}:
				default:
				}
				select {
				case <-over:
					if epoch != before {
						return
					}
				default:
				}
			}
		})
	}
	for range cap(enough) {
		<-enough
	}
	primary.Kill()
	standby.Promote()
	promoted := time.Now()
	close(over)
	wg.Wait()
	t.Logf("found after %v", time.Since(promoted))
	if took := time.Since(promoted); took > foundWithin {
		t.Errorf("the new primary was found after %v, want 5 s", took)
	}
	stored := everything(t, st, at)
	for _, own := range acked {
		for seq, id := range own {
			if stored[seq] != id {
				t.Fatalf("seq %d is %q after the failover, %q was acked", seq, stored[seq], id)
			}
		}
	}
	known := map[string]uint64{}
	for seq := uint64(1); seq <= uint64(len(stored)); seq++ {
		if id := stored[seq]; id == "" || known[id] != 0 {
			t.Fatalf("seq %d is %q, which is seq %d too; want every seq up to %d, and every message once", seq, id, known[id], len(stored))
		}
		known[stored[seq]] = seq
	}
}

// everything reads a topic.
func everything(t *testing.T, st *postgres.Store, at storage.Topic) map[uint64]string {
	t.Helper()
	stored := map[uint64]string{}
	for after := uint64(0); ; {
		var page storage.Page
		eventually(t, "the store serves", func() (err error) {
			page, err = st.Read(t.Context(), at, after, 1000, 1<<20)
			return err
		})
		for _, m := range page.Messages {
			stored[m.Seq] = m.MessageID
		}
		if after = page.Through; after == page.Head {
			return stored
		}
	}
}

func TestFailover_WithALostTailIsAnotherEpochAndWhatWasOfTheOldOneSettlesNothing(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	primary := testenv.StartPostgres(t)
	standby := primary.Standby()
	st := open(t, testenv.Hosts(primary.Database(), primary, standby), storage.Options{})
	at := subscribed(t, st)
	_, before, err := attempt(st, group(at, 3, "kept"))
	if err != nil {
		t.Fatal(err)
	}
	standby.CatchUp(primary)
	standby.Detach()
	if _, _, err := attempt(st, group(at, 2, "lost")); err != nil {
		t.Fatal(err)
	}
	primary.Kill()
	standby.Promote()

	var heads []uint64
	var after string
	eventually(t, "the new primary is found", func() (err error) {
		heads, after, err = st.Heads(t.Context(), []storage.Topic{at})
		return err
	})
	if after == before || heads[0] != 3 {
		t.Fatalf("epoch %s with head %d after %s with head 5, want another epoch and head 3", after, heads[0], before)
	}
	got, epoch, err := attempt(st, group(at, 2, "new"))
	if err != nil || epoch != after || got[0].Seq != 4 || got[1].Seq != 5 {
		t.Fatalf("append = %+v in %s (%v), want seqs 4 and 5 in %s", got, epoch, err, after)
	}
	rows, err := st.Settle(t.Context(), []storage.Settlement{
		{Subscriber: "c:reader", Topic: at, Acked: storage.Span(1, 5), Epoch: before},
		{Subscriber: "c:reader", Topic: at, Acked: storage.Span(2, 2), Epoch: after},
	})
	if err != nil || !slices.Equal(rows[0].Settled, storage.Span(2, 2)) || rows[0].Epoch != after {
		t.Fatalf("settled %+v (%v), want 2 alone in %s", rows, err, after)
	}
	again, _, err := attempt(st, group(at, 2, "lost")) // their publishers may still repeat them
	if err != nil || again[0].Outcome != storage.Stored || again[0].Seq != 6 {
		t.Fatalf("what was lost, again: %+v (%v), want it stored as 6 and 7", again, err)
	}
}

// A primary that hung, was replaced, and comes back believes in itself. Nobody who has seen its successor does.
func TestFailover_APrimaryThatWasReplacedIsLeftForGood(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	primary := testenv.StartPostgres(t)
	standby := primary.Standby()
	st := open(t, testenv.Hosts(primary.Database(), primary, standby), storage.Options{}) // the old one first
	at := subscribed(t, st)
	var wg sync.WaitGroup
	for w := range 8 { // connections to it that stay
		wg.Go(func() {
			if _, _, err := attempt(st, group(at, 1, fmt.Sprint(w))); err != nil {
				t.Errorf("append: %v", err)
			}
		})
	}
	wg.Wait()
	old := open(t, primary.Database(), storage.Options{}) // of its own, to see it live
	oldAt := subscribed(t, old)
	standby.CatchUp(primary)
	_, before, err := attempt(st, group(at, 1, "before"))
	if err != nil {
		t.Fatal(err)
	}

	primary.Freeze()
	standby.Promote()
	promoted := time.Now()
	var epoch string
	eventually(t, "the new primary is found", func() (err error) {
		_, epoch, err = attempt(st, group(at, 1, "after"))
		return err
	})
	t.Logf("found after %v", time.Since(promoted))
	if took := time.Since(promoted); took > foundWithin+5*time.Second { // a call's own deadline, which began with the frost
		t.Errorf("the new primary was found after %v, want 5 s", took)
	}
	if epoch == before {
		t.Fatalf("epoch = %s, as before the failover", epoch)
	}
	primary.Thaw()
	eventually(t, "the old primary takes writes again", func() error {
		_, _, err := attempt(old, group(oldAt, 1, "zombie"))
		return err
	})
	standby.Stop() // now there is nobody but the old one
	for i := range 3 {
		if got, epoch, err := attempt(st, group(at, 1, fmt.Sprint("tempted-", i))); !errors.Is(err, storage.ErrUnavailable) {
			t.Fatalf("append while only the old primary runs: %+v in %s (%v), want ErrUnavailable", got, epoch, err)
		}
	}
	standby.Restart()
	eventually(t, "the new primary is found again", func() error {
		_, got, err := attempt(st, group(at, 1, "later"))
		if err == nil && got != epoch {
			t.Fatalf("epoch = %s, want %s", got, epoch)
		}
		return err
	})
}

func TestOpen_FindsThePrimaryBehindAStandbyAndAHostThatIsGone(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	primary := testenv.StartPostgres(t)
	standby, gone := primary.Standby(), primary.Standby()
	gone.Kill()
	dsn := primary.Database()
	standby.CatchUp(primary)
	st := open(t, testenv.Hosts(dsn, gone, standby, primary), storage.Options{})
	subscribed(t, st)
	if _, err := postgres.Open(t.Context(), testenv.Hosts(dsn, gone, standby), storage.Options{}); !errors.Is(err, storage.ErrUnavailable) {
		t.Fatalf("open without a primary: %v, want ErrUnavailable", err)
	}
}

func TestStore_APrimaryThatIsMadeReadOnlyIsNoneUntilItTakesWritesAgain(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	server := testenv.StartPostgres(t)
	st := open(t, server.Database(), storage.Options{})
	at := subscribed(t, st)
	server.Exec("ALTER SYSTEM SET default_transaction_read_only = on")
	server.Exec("SELECT pg_reload_conf()")
	eventually(t, "appends are refused", func() error {
		if _, _, err := attempt(st, group(at, 1, "refused")); err == nil {
			return errors.New("it was taken")
		} else if !errors.Is(err, storage.ErrUnavailable) {
			t.Fatalf("append: %v, want ErrUnavailable", err)
		}
		return nil
	})
	server.Exec("ALTER SYSTEM RESET default_transaction_read_only")
	server.Exec("SELECT pg_reload_conf()")
	eventually(t, "appends are taken", func() error { _, _, err := attempt(st, group(at, 1, "taken")); return err })
}
