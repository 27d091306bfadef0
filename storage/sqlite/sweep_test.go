package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/storagetest"
)

// secret is looked for in the files. It is spread over a message so that no page break can hide it.
var secret = []byte("SECRET-OF-THE-MESSAGE")

func TestSweep_LeavesNothingOfAMessageInTheFiles(t *testing.T) {
	for _, how := range []string{"settled", "expired", "unsubscribed", "dropped"} {
		t.Run(how, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "fastport.db")
			s := openTest(t, path, storage.Options{})
			now := time.Now()
			s.now = func() time.Time { return now }
			name, at := newSession(t, s)
			subscribe(t, s, "c:reader", at)
			keep := newTopic(t, s)
			sweepAll(t, s) // from here on it looks only where something has changed
			var group []storage.Entry
			for i := range 40 {
				e := message(at, fmt.Sprint("SECRET-ID-", i))
				e.Data = bytes.Repeat(secret, 1+i*i*3) // up to 100 KB: in the leaf, and in overflow pages
				group = append(group, e, message(keep, fmt.Sprint(i)))
			}
			if _, _, err := s.Append(t.Context(), group); err != nil {
				t.Fatal(err)
			}
			if where := find(t, path, secret); where == "" {
				t.Fatal("the content is in no file before the sweep: the search is no good")
			}
			var err error
			switch how {
			case "settled":
				_, err = s.Settle(t.Context(), []storage.Settlement{{Subscriber: "c:reader", Topic: at, Acked: storage.Span(1, 40)}})
			case "expired":
				now = now.Add(time.Hour)
			case "unsubscribed":
				err = s.Unsubscribe(t.Context(), "c:reader", at)
			case "dropped":
				_, err = s.DropSession(t.Context(), name)
			}
			if err != nil {
				t.Fatal(err)
			}
			sweepAll(t, s)
			now = now.Add(journalStay) // it shares its row with what is still owed
			sweepAll(t, s)
			for _, text := range [][]byte{secret, []byte("SECRET-ID-")} {
				if where := find(t, path, text); where != "" {
					t.Errorf("after the sweep %q is still in %s", text, where)
				}
			}
			if page, err := s.Read(t.Context(), keep, 0, 100, 1<<20); err != nil || len(page.Messages) != 40 && how != "expired" {
				t.Fatalf("the other topic has %d messages (%v), want all 40", len(page.Messages), err)
			}
		})
	}
}

func TestSweep_WaitsForAReaderOfTheOldState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fastport.db")
	s := openTest(t, path, storage.Options{})
	at := newTopic(t, s)
	e := message(at, "a")
	e.Data = secret
	if _, _, err := s.Append(t.Context(), []storage.Entry{e}); err != nil {
		t.Fatal(err)
	}
	tx, err := s.reader.pool.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRow(`SELECT count(*) FROM messages`).Scan(&n); err != nil { // from here on it has its snapshot
		t.Fatal(err)
	}
	if err := s.Unsubscribe(t.Context(), "c:reader", at); err != nil {
		t.Fatal(err)
	}
	sweepAll(t, s)
	if find(t, path, secret) == "" {
		t.Fatal("the content left the files while somebody was reading it")
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	sweepAll(t, s) // nothing new is due, and still it comes back to it
	if where := find(t, path, secret); where != "" {
		t.Fatalf("the content is still in %s", where)
	}
}

func TestSweep_TakesTheWALAlongSoThatNoCommitHasTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fastport.db")
	s := openTest(t, path, storage.Options{})
	e := message(newTopic(t, s), "a")
	e.Data = secret
	if _, _, err := s.Append(t.Context(), []storage.Entry{e}); err != nil {
		t.Fatal(err)
	}
	if where := find(t, path, secret); where != "fastport.db-wal" {
		t.Fatalf("after the commit the message is in %q, want the WAL", where)
	}
	sweepAll(t, s)
	if where := find(t, path, secret); where != "fastport.db" {
		t.Fatalf("after the sweep the message is in %q, want the file", where)
	}
}

func TestSweep_OfAnIdleStoreWritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fastport.db")
	s := openTest(t, path, storage.Options{})
	at := newTopic(t, s)
	for i := range 3 {
		if _, _, err := s.Append(t.Context(), []storage.Entry{message(at, fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
	}
	sweepAll(t, s)
	<-s.writer.turn // a sweep that wanted to write would wait for it
	defer func() { s.writer.turn <- struct{}{} }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 10 {
		if got, err := s.Sweep(ctx); err != nil || !reflect.DeepEqual(got, storage.Swept{}) {
			t.Fatalf("swept %+v (%v), want nothing", got, err)
		}
	}
}

func TestSweep_AnotherAtTheSameTimeReturnsAtOnce(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	s.sweeping.Lock()
	defer s.sweeping.Unlock()
	if got, err := s.Sweep(t.Context()); err != nil || !reflect.DeepEqual(got, storage.Swept{}) {
		t.Fatalf("swept %+v (%v), want nothing", got, err)
	}
}

func TestSweep_TakesBoundedBitesAndSaysThatThereIsMore(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	at := newTopic(t, s)
	s.journal.stay = 0 // what leaves the journal in bites is still owed; what is settled leaves the table in bites
	const n = bite*bites + 2*bite
	for from := 0; from < n; from += 1000 {
		var group []storage.Entry
		for i := range 1000 {
			group = append(group, message(at, fmt.Sprint(from+i)))
		}
		if _, _, err := s.Append(t.Context(), group); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.journal.due(s.clock()); got == 0 || got > 1+bite/1000 {
		t.Fatalf("%d groups of 1000 leave the journal at once", got)
	}
	sweepAll(t, s)
	if err := s.Unsubscribe(t.Context(), "c:reader", at); err != nil {
		t.Fatal(err)
	}
	first, err := s.Sweep(t.Context())
	if err != nil || !first.More || first.Settled == 0 || first.Settled > bite*bites {
		t.Fatalf("swept %+v (%v), want some %d and more to come", first, err, bite*bites)
	}
	if rest := sweepAll(t, s); first.Settled+rest != n {
		t.Fatalf("swept %d in all, want %d", first.Settled+rest, n)
	}
}

// find names the store's file that holds text, or "".
func find(t *testing.T, path string, text []byte) string {
	t.Helper()
	for _, name := range []string{path, path + "-wal", path + "-journal"} {
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if bytes.Contains(b, text) {
			return filepath.Base(name)
		}
	}
	return ""
}

func sweepAll(t testing.TB, s *Store) (settled int) {
	t.Helper()
	for {
		got, err := s.Sweep(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		settled += got.Settled
		if !got.More {
			return settled
		}
	}
}

func newSession(t testing.TB, s *Store) (name string, at storage.Topic) {
	t.Helper()
	ss := storagetest.NewSession()
	if err := s.CreateSession(context.Background(), ss); err != nil {
		t.Fatal(err)
	}
	return ss.Name, storage.Topic{Session: ss.ID, Name: "news"}
}

// newTopic is a topic with one reader, in a session of its own.
func newTopic(t testing.TB, s *Store) storage.Topic {
	t.Helper()
	_, at := newSession(t, s)
	subscribe(t, s, "c:reader", at)
	return at
}

func subscribe(t testing.TB, s *Store, sub storage.Subscriber, at storage.Topic) {
	t.Helper()
	if _, err := s.Subscribe(context.Background(), sub, at, true); err != nil {
		t.Fatal(err)
	}
}

func message(at storage.Topic, id string) storage.Entry {
	return storage.Entry{Topic: at, MessageID: id, Data: []byte("data"), Expiry: time.Hour}
}

// write runs a statement on the writing connection.
func write(t testing.TB, s *Store, query string) {
	t.Helper()
	if err := s.writer.alone(context.Background(), func(db *conn) error { return db.exec(query) }); err != nil {
		t.Fatal(err)
	}
}
