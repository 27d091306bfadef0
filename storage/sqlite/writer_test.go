package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/fastport/fastport/storage"
)

func TestWriter_CallersWhoWaitShareACommit(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	at := newTopic(t, s)
	const callers = 50
	commits := 0
	<-s.writer.turn // nobody gets on until all wait
	var wg sync.WaitGroup
	seqs := make([]uint64, callers)
	for i := range callers {
		wg.Go(func() {
			got, _, err := s.Append(t.Context(), []storage.Entry{message(at, fmt.Sprint(i))})
			if err != nil || got[0].Outcome != storage.Stored {
				t.Errorf("append: %v, %v; want it stored", got, err)
				return
			}
			seqs[i] = got[0].Seq
		})
	}
	for waiting := 0; waiting < callers; {
		s.writer.mu.Lock()
		waiting = len(s.writer.waiting)
		s.writer.mu.Unlock()
	}
	for jobs := s.writer.take(); len(jobs) > 0; jobs = s.writer.take() {
		s.writer.commit(jobs)
		commits++
	}
	s.writer.turn <- struct{}{}
	wg.Wait()
	if commits != 1 {
		t.Fatalf("%d commits for %d callers, want 1", commits, callers)
	}
	slices.Sort(seqs)
	for i, seq := range seqs {
		if seq != uint64(i)+1 {
			t.Fatalf("seqs = %v, want 1 to %d: each sees those before it in the same transaction", seqs, callers)
		}
	}
}

func TestWriter_OneThatFailsDoesNotSpoilTheOthers(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	broken := errors.New("broken")
	jobs := make([]*job, 5)
	for i := range jobs {
		jobs[i] = &job{done: make(chan struct{}), run: func(db *conn) error {
			if err := db.exec(`INSERT INTO logins (token_hash, username, created_at, seen_at) VALUES (?, 'u', 0, 0)`, []byte{byte(i)}); err != nil {
				return err
			}
			if i == 2 {
				return broken // after it has written
			}
			return nil
		}}
	}
	if err := s.writer.alone(t.Context(), func(*conn) error { s.writer.commit(jobs); return nil }); err != nil {
		t.Fatal(err)
	}
	for i, j := range jobs {
		if want := map[bool]error{true: broken}[i == 2]; j.err != want {
			t.Errorf("job %d: error = %v, want %v", i, j.err, want)
		}
	}
	var n int
	if err := s.reader.row(t.Context(), `SELECT count(*) FROM logins`).Scan(&n); err != nil || n != 4 {
		t.Fatalf("%d rows (%v), want 4: nothing of the broken one", n, err)
	}
}

func TestWriter_ADeadlineBoundsTheWaitOnly(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	at := newTopic(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	<-s.writer.turn
	result := make(chan error)
	go func() {
		_, _, err := s.Append(ctx, []storage.Entry{message(at, "a")})
		result <- err
	}()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatalf("while it waits: %v, want it cancelled", err)
	}
	s.writer.turn <- struct{}{}

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	err := s.writer.do(ctx, 1, func(db *conn) error {
		cancel() // too late
		return db.exec(`INSERT INTO logins (token_hash, username, created_at, seen_at) VALUES (x'01', 'u', 0, 0)`)
	})
	if err != nil {
		t.Fatalf("once begun: %v, want it committed", err)
	}
	if heads, _, err := s.Heads(t.Context(), []storage.Topic{at}); err != nil || heads[0] != 0 {
		t.Fatalf("head = %v (%v), want 0: the cancelled one never ran", heads, err)
	}
}

func TestAppend_WhatCanNeverBeStoredFailsAlone(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	at := newTopic(t, s)
	if _, err := driver.Limit(s.writer.db.c, lib.SQLITE_LIMIT_LENGTH, 1<<20); err != nil {
		t.Fatal(err)
	}
	group := []storage.Entry{message(at, "a"), message(at, "huge"), message(at, "b")}
	group[1].Data = make([]byte, 2<<20)
	got, _, err := s.Append(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Seq != 1 || !errors.Is(got[1].Err, storage.ErrInvalid) || got[2].Seq != 2 {
		t.Fatalf("results = %+v, want 1, ErrInvalid, 2", got)
	}
}

func TestClose_RefusesWhatComesAfter(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	at := newTopic(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Append(t.Context(), []storage.Entry{message(at, "a")}); !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("append: %v, want ErrUnavailable", err)
	}
	if _, err := s.Read(t.Context(), at, 0, 1, 1); err == nil {
		t.Error("read from a closed store")
	}
	if _, err := s.Sweep(t.Context()); err == nil {
		t.Error("swept a closed store")
	}
}

func TestConn_KeepsTheStatementsOfAppendFew(t *testing.T) {
	s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), storage.Options{})
	s.journal.most = 0 // each append moves the one before it
	at := newTopic(t, s)
	for n := range 70 {
		var group []storage.Entry
		for i := range n {
			group = append(group, message(at, fmt.Sprint(n, "-", i)))
		}
		if _, _, err := s.Append(t.Context(), group); err != nil {
			t.Fatal(err)
		}
	}
	inserts := 0
	for query := range s.writer.db.prepared {
		if strings.HasPrefix(query, "INSERT OR FAIL INTO messages ") {
			inserts++
		}
	}
	if inserts != 6 { // of 1, 2, 4, 8, 16 and 32 rows
		t.Fatalf("%d statements insert messages, want 6", inserts)
	}
}
