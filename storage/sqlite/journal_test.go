package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/storage"
)

// together runs jobs in one transaction and gives their errors.
func together(t *testing.T, s *Store, runs ...func(db *conn) error) []error {
	t.Helper()
	jobs, errs := make([]*job, len(runs)), make([]error, len(runs))
	for i, run := range runs {
		jobs[i] = &job{run: run, done: make(chan struct{})}
	}
	if err := s.writer.alone(t.Context(), func(*conn) error { s.writer.commit(jobs); return nil }); err != nil {
		t.Fatal(err)
	}
	for i, j := range jobs {
		errs[i] = j.err
	}
	return errs
}

// appends is a job that appends one message.
func (s *Store) appends(e storage.Entry, out *storage.Appended) func(db *conn) error {
	return func(db *conn) (err error) {
		a := s.begin(db, []storage.Entry{e}, 1<<40)
		if *out, err = a.decide(&e, idKey([]byte(e.MessageID + "................")[:keySize])); err != nil {
			return err
		}
		return a.write()
	}
}

func rows(t *testing.T, s *Store, table string) (n int) {
	t.Helper()
	if err := s.reader.row(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestJournal_JobsOfOneTransactionSeeEachOther(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{StoredBytes: 10})
	at := newTopic(t, s)
	var one, two, three storage.Appended
	var late, acked storage.Subscription
	for _, err := range together(t, s,
		s.appends(message(at, "a"), &one),
		func(db *conn) (err error) { late, _, err = s.subscribe(db, "c:late", at, true); return err },
		func(db *conn) (err error) {
			acked, _, err = s.settle(db, &storage.Settlement{Subscriber: "c:reader", Topic: at, Acked: storage.Span(1, 9)})
			return err
		},
		s.appends(message(at, "b"), &two),
		s.appends(message(at, "c"), &three),
	) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if one.Seq != 1 || two.Seq != 2 {
		t.Errorf("seqs = %d, %d, want 1, 2", one.Seq, two.Seq)
	}
	if late.Head != 1 || !late.Settled.Covers(1, 1) || late.Settled.Max() != 1 {
		t.Errorf("subscribed between them: %+v, want it to begin behind the first", late)
	}
	if acked.Settled.Max() != 1 {
		t.Errorf("settled %v before the second was there, want no more than 1", acked.Settled)
	}
	if !errors.Is(three.Err, storage.ErrQuota) {
		t.Errorf("third: %+v, want ErrQuota: 8 bytes of 10 are taken, 4 of them by the same transaction", three)
	}
}

func TestJournal_WhatIsRolledBackWasNeverThere(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	s.journal.stay = 0
	at := newTopic(t, s)
	var first, second storage.Appended
	together(t, s, s.appends(message(at, "a"), &first))
	fault := errors.New("fault")
	errs := together(t, s, func(db *conn) error {
		if err := s.move(db, 1); err != nil {
			return err
		}
		if err := s.appends(message(at, "b"), &second)(db); err != nil {
			return err
		}
		return fault
	})
	if !errors.Is(errs[0], fault) || second.Seq != 2 {
		t.Fatalf("%v, %+v; want it stored as 2, then the fault", errs, second)
	}
	if heads, _, err := s.Heads(t.Context(), []storage.Topic{at}); err != nil || heads[0] != 1 {
		t.Errorf("head = %v (%v), want 1", heads, err)
	}
	if n, m := rows(t, s, "journal"), rows(t, s, "messages"); n != 1 || m != 0 {
		t.Errorf("%d rows in the journal and %d messages, want the one row that was there", n, m)
	}
	sweepAll(t, s)
	page, err := s.Read(t.Context(), at, 0, 10, 1<<20)
	if err != nil || len(page.Messages) != 1 || page.Head != 1 || rows(t, s, "messages") != 1 {
		t.Errorf("after its move: %+v (%v), want the first message, once", page, err)
	}
	if total, err := s.Totals(t.Context()); err != nil || total.Messages != 1 || total.Bytes != 4 {
		t.Errorf("totals = %+v (%v), want 1 message of 4 bytes", total, err)
	}
}

func TestJournal_IsReadAnewWhenNobodyKnowsWhatACommitDid(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	at := newTopic(t, s)
	if _, _, err := s.Append(t.Context(), []storage.Entry{message(at, "a"), message(at, "b")}); err != nil {
		t.Fatal(err)
	}
	s.journal.reset(nil) // as if that commit had been one of those
	errs := together(t, s, func(db *conn) error {
		if err := db.exec(`PRAGMA defer_foreign_keys = ON`); err != nil {
			return err
		}
		return db.exec(`INSERT INTO owners (session, subscriber, user_id) VALUES ('none', 'c:1', 'u')`)
	})
	if !errors.Is(errs[0], errUnknown) {
		t.Fatalf("commit: %v, want errUnknown", errs[0])
	}
	got, _, err := s.Append(t.Context(), []storage.Entry{message(at, "c")})
	if err != nil || got[0].Seq != 3 {
		t.Fatalf("append: %+v (%v), want seq 3", got, err)
	}
	page, err := s.Read(t.Context(), at, 0, 10, 1<<20)
	if err != nil || len(page.Messages) != 3 || page.Head != 3 {
		t.Fatalf("read: %+v (%v), want all three", page, err)
	}
}

// A clock that stands still, a topic of which half is settled out of order, and everything on its way all the time.
func TestJournal_ReadersMissNothingThatMoves(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	s.journal.stay = 0
	at := newTopic(t, s)
	const groups, each = 300, 4
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Sweep(t.Context()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Go(func() {
		defer close(stop)
		for g := range groups {
			var group []storage.Entry
			for i := range each {
				group = append(group, message(at, fmt.Sprint(g, "-", i)))
			}
			if _, _, err := s.Append(t.Context(), group); err != nil {
				t.Error(err)
				return
			}
			if g%2 == 1 { // every other group goes as a whole, before the one in front of it
				lo := uint64(g*each + 1)
				if _, err := s.Settle(t.Context(), []storage.Settlement{{Subscriber: "c:reader", Topic: at, Acked: storage.Span(lo, lo+each-1)}}); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for range 2 {
		wg.Go(func() {
			for done := false; !done; {
				select {
				case <-stop:
					done = true
				default:
				}
				page, err := s.Read(t.Context(), at, 0, 10_000, 1<<30)
				if err != nil {
					t.Error(err)
					return
				}
				there := map[uint64]bool{}
				for _, m := range page.Messages {
					if there[m.Seq] {
						t.Errorf("seq %d twice on one page", m.Seq)
					}
					there[m.Seq] = true
				}
				for seq := uint64(1); seq <= page.Through; seq++ {
					if owed := (seq-1)/each%2 == 0; owed && !there[seq] {
						t.Errorf("seq %d is owed and not on a page that reaches %d", seq, page.Through)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestJournal_SettledMessagesNeverBecomeRowsOfTheirOwn(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	start := time.Now()
	s.now = func() time.Time { return start }
	at, slow := newTopic(t, s), newTopic(t, s)
	if _, _, err := s.Append(t.Context(), []storage.Entry{message(at, "a"), message(slow, "b")}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Settle(t.Context(), []storage.Settlement{{Subscriber: "c:reader", Topic: at, Acked: storage.Span(1, 1)}}); err != nil {
		t.Fatal(err)
	}
	if n := sweepAll(t, s); n != 1 || rows(t, s, "messages") != 0 {
		t.Fatalf("swept %d, %d messages; want 1 and none", n, rows(t, s, "messages"))
	}
	s.now = func() time.Time { return start.Add(journalStay) }
	sweepAll(t, s)
	if n, m := rows(t, s, "journal"), rows(t, s, "messages"); n != 0 || m != 1 {
		t.Fatalf("%d rows in the journal and %d messages, want the one that is owed moved", n, m)
	}
	if heads, _, err := s.Heads(t.Context(), []storage.Topic{at, slow}); err != nil || heads[0] != 1 || heads[1] != 1 {
		t.Fatalf("heads = %v (%v), want 1, 1: they outlive the journal", heads, err)
	}
	if got, _, err := s.Append(t.Context(), []storage.Entry{message(at, "c")}); err != nil || got[0].Seq != 2 {
		t.Fatalf("append: %+v (%v), want seq 2", got, err)
	}
}

func TestJournal_AMovesTopicsAreLookedAtAgain(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	at := newTopic(t, s)
	sweepAll(t, s) // from here on it looks only where something has changed
	if _, _, err := s.Append(t.Context(), []storage.Entry{message(at, "a")}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Settle(t.Context(), []storage.Settlement{{Subscriber: "c:reader", Topic: at, Acked: storage.Span(1, 1)}}); err != nil || got[0].Settled.Max() != 1 {
		t.Fatalf("settle: %+v (%v)", got, err)
	}
	errs := together(t, s, func(db *conn) error {
		err := s.move(db, 1)
		for _, topic := range s.dirty.take(10) { // the sweep comes just now, and finds it in the journal
			s.journal.settle(topic, storage.Span(1, 1))
		}
		return err
	})
	if errs[0] != nil {
		t.Fatal(errs[0])
	}
	sweepAll(t, s)
	if n := rows(t, s, "messages"); n != 0 {
		t.Fatalf("%d messages are left though all is settled", n)
	}
	if total, err := s.Totals(t.Context()); err != nil || total.Messages != 0 || total.Bytes != 0 {
		t.Fatalf("totals = %+v (%v), want nothing", total, err)
	}
}

func TestJournal_AClockThatWentBackKeepsNothing(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	start := time.Now()
	s.now = func() time.Time { return start.Add(time.Hour) }
	if _, _, err := s.Append(t.Context(), []storage.Entry{message(newTopic(t, s), "a")}); err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return start }
	sweepAll(t, s)
	if n, m := rows(t, s, "journal"), rows(t, s, "messages"); n != 0 || m != 1 {
		t.Fatalf("%d rows in the journal and %d messages, want it moved", n, m)
	}
}

func TestJournal_IsBounded(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	s.journal.most = 100_000
	at := newTopic(t, s)
	for i := range 100 {
		e := message(at, fmt.Sprint(i))
		e.Data = make([]byte, 9_000)
		if got, _, err := s.Append(t.Context(), []storage.Entry{e}); err != nil || got[0].Outcome != storage.Stored {
			t.Fatalf("append: %+v (%v)", got, err)
		}
		if s.journal.bytes > s.journal.most {
			t.Fatalf("the journal holds %d bytes, want no more than %d", s.journal.bytes, s.journal.most)
		}
	}
	if n := rows(t, s, "messages"); n < 85 {
		t.Fatalf("%d messages have moved, want all but some ten", n)
	}
}

func TestJournal_ABrokenRowIsNotGuessedAt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fastport.db")
	s := openTest(t, path, storage.Options{})
	if _, _, err := s.Append(t.Context(), []storage.Entry{message(newTopic(t, s), "a")}); err != nil {
		t.Fatal(err)
	}
	write(t, s, `UPDATE journal SET entries = substr(entries, 1, length(entries) - 1)`)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), path, storage.Options{}); !errors.Is(err, errJournal) {
		t.Fatalf("open: %v, want errJournal", err)
	}
}

func FuzzParseFresh(f *testing.F) {
	g := &group{}
	g.append(&freshTopic{id: 7}, 9, 1_700_000_000_000, &storage.Entry{MessageID: "id", Origin: "c:1", Hash: "h", Data: []byte("data"), Timestamp: -5})
	f.Add(g.row)
	f.Add([]byte{1, 1, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, topic, rest, err := parseFresh(b)
		if err != nil {
			return
		}
		g := &group{}
		g.append(&freshTopic{id: topic}, m.Seq, toMilli(m.ExpiresAt), &storage.Entry{MessageID: m.MessageID, Origin: m.Origin,
			Hash: m.Hash, Data: m.Data, Timestamp: m.Timestamp})
		again, same, left, err := parseFresh(g.row)
		if err != nil || len(left) != 0 || same != topic || again.Seq != m.Seq || again.MessageID != m.MessageID || !bytes.Equal(again.Data, m.Data) {
			t.Fatalf("%+v became %+v (%v)", m, again, err)
		}
		if len(rest) >= len(b) {
			t.Fatal("nothing was read")
		}
	})
}
