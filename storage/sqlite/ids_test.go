package sqlite

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

func TestAppend_KnowsARepeatAfterAReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fastport.db")
	s := openTest(t, path, storage.Options{})
	at := newTopic(t, s)
	group := []storage.Entry{message(at, "a"), message(at, "b")}
	if got, _, err := s.Append(t.Context(), group); err != nil || got[1].Outcome != storage.Stored {
		t.Fatalf("append: %+v (%v)", got, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, path, storage.Options{})
	got, _, err := s.Append(t.Context(), append(group, message(at, "c")))
	if err != nil || got[0] != (storage.Appended{Outcome: storage.Repeat, Seq: 1}) || got[1] != (storage.Appended{Outcome: storage.Repeat, Seq: 2}) ||
		got[2] != (storage.Appended{Outcome: storage.Stored, Seq: 3}) {
		t.Fatalf("append: %+v (%v), want two repeats and a new one", got, err)
	}
}

func TestAppend_AGroupRolledBackIsNoRepeat(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	at := newTopic(t, s)
	fault := errors.New("fault")
	results := make([]storage.Appended, 1)
	err := s.writer.do(t.Context(), 1, func(db *conn) error {
		e := message(at, "a")
		a := s.begin(db, []storage.Entry{e}, 1<<30)
		var err error
		if results[0], err = a.decide(&e, idKey{1}); err != nil {
			return err
		}
		if err := a.write(); err != nil {
			return err
		}
		return fault
	})
	if !errors.Is(err, fault) || results[0].Outcome != storage.Stored {
		t.Fatalf("the rolled back append: %+v (%v), want it stored, then the fault", results, err)
	}
	if row := s.hints.row(appendID{1, idKey{1}}); row == 0 {
		t.Fatal("no hint was left behind: this test shows nothing")
	}
	for _, outcome := range []storage.Outcome{storage.Stored, storage.Repeat} {
		if err := s.append(t.Context(), []storage.Entry{message(at, "a")}, []idKey{{1}}, results); err != nil || results[0].Outcome != outcome {
			t.Fatalf("append: %+v (%v), want outcome %d", results, err, outcome)
		}
	}
}

func TestSweep_ForgetsIDsThoughTheClockWasFarAhead(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	at := newTopic(t, s)
	start := time.Now()
	for i, ahead := range []time.Duration{0, 100 * time.Hour, time.Second} {
		s.now = func() time.Time { return start.Add(ahead) }
		if got, _, err := s.Append(t.Context(), []storage.Entry{message(at, string(rune('a'+i)))}); err != nil || got[0].Outcome != storage.Stored {
			t.Fatalf("append: %+v (%v)", got, err)
		}
	}
	for _, x := range []struct {
		after time.Duration
		want  int
	}{{protocol.DedupeWindow, 2}, {protocol.DedupeWindow + time.Second, 1}} {
		s.now = func() time.Time { return start.Add(x.after) }
		if swept, err := s.Sweep(t.Context()); err != nil || swept.IDs != x.want {
			t.Fatalf("%v after the first: swept %d ids (%v), want %d", x.after, swept.IDs, err, x.want)
		}
	}
	if n := len(s.hints.rows); n != 0 {
		t.Fatalf("%d hints are left, want none", n)
	}
}
