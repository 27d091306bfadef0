package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/fastport/fastport/storage"
)

func TestAppend_StopsWhenSQLiteIsFullAndGoesOnLater(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	at := newTopic(t, s)
	write(t, s, `PRAGMA max_page_count = 200`) // SQLite's own way of being full
	first, _, err := s.Append(t.Context(), []storage.Entry{message(at, "first")})
	if err != nil || first[0].Outcome != storage.Stored {
		t.Fatalf("append: %+v (%v)", first, err)
	}
	stored := 1 + fill(t, s, at)
	if stored == 1 {
		t.Fatal("stored nothing")
	}
	// Still full: what needs no room is answered as ever.
	got, _, err := s.Append(t.Context(), []storage.Entry{message(at, "first"), message(storage.Topic{Session: at.Session, Name: "none"}, "x"), message(at, "new")})
	if err != nil || got[0].Outcome != storage.Repeat || got[1].Outcome != storage.NotStored || !errors.Is(got[2].Err, storage.ErrFull) {
		t.Fatalf("append: %+v (%v), want a repeat, not stored, ErrFull", got, err)
	}
	settleAndSweep(t, s, at, stored)
	if got, _, err := s.Append(t.Context(), []storage.Entry{message(at, "again")}); err != nil || got[0].Outcome != storage.Stored || got[0].Seq != stored+1 {
		t.Fatalf("append: %+v (%v), want it stored as %d", got, err, stored+1)
	}
}

// fill appends until there is no room, and gives how many were stored. It never sees another error.
func fill(t *testing.T, s *Store, at storage.Topic) (stored uint64) {
	t.Helper()
	for i := range 100_000 {
		e := message(at, fmt.Sprintf("fill-%d-%p", i, &stored)) // another call's ids are not this one's repeats
		e.Data = make([]byte, 20_000)
		got, _, err := s.Append(t.Context(), []storage.Entry{e})
		if err != nil {
			t.Fatalf("append: %v", err)
		}
		if errors.Is(got[0].Err, storage.ErrFull) {
			return stored
		}
		if got[0].Outcome == storage.Stored {
			stored++
		}
	}
	t.Fatal("there is no end of room")
	return 0
}

func settleAndSweep(t *testing.T, s *Store, at storage.Topic, n uint64) {
	t.Helper()
	got, err := s.Settle(t.Context(), []storage.Settlement{{Subscriber: "c:reader", Topic: at, Acked: storage.Span(1, n)}})
	if err != nil || !got[0].Settled.Covers(1, n) {
		t.Fatalf("settle: %+v (%v)", got, err)
	}
	if swept := sweepAll(t, s); swept != int(n) {
		t.Fatalf("swept %d, want %d", swept, n)
	}
}
