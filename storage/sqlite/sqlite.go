// Package sqlite keeps a store in one SQLite file: the broker on one machine, with nothing to install.
//
// One connection writes and a few read. Calls that write queue up for the connection, and whoever comes to it takes all
// that wait along in one transaction (see writer): the sync to disk, which is most of the cost, is shared by callers
// that know nothing of each other. SQLite runs in WAL mode with synchronous=FULL, so a commit is on disk when it
// returns; secure_delete and the sweep's checkpoint see to it that what is deleted is in neither file.
//
// Beside the file x stand x-wal and x-shm (SQLite's), x.lock (held while a process has the store open) and x.reserve
// (given up for room to delete in when the disk is full).
package sqlite

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver; docs/decisions/001-sqlite-driver.md says why

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// Store is a storage.Store in an SQLite file.
type Store struct {
	options storage.Options
	epoch   string
	now     func() time.Time

	lock   *lock
	room   *room
	writer *writer
	reader *reader
	hints  *idHints

	journal *journal

	// Owned by whoever has the writer's turn.
	topics knownTopics
	begins bool // a transaction has begun, and is not committed
	unsure bool // the journal may not be what its table holds

	// Owned by the sweep.
	sweeping  sync.Mutex
	checkedTo int64 // topics up to this id were looked at since the process started
	checked   bool  // all were
	silenced  []corpse

	dirty dirtyTopics
	scrub atomic.Bool // something was deleted since the last checkpoint
}

var (
	_ storage.Store = (*Store)(nil)
	_ storage.Disk  = (*Store)(nil)
)

// Open opens the store at path, or makes one: the folder (0700) and the file (0600) too. It waits for no other process:
// a store that another has open is refused.
func Open(ctx context.Context, path string, o storage.Options) (*Store, error) {
	s, err := open(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", path, err)
	}
	return s, nil
}

func open(ctx context.Context, path string, o storage.Options) (_ *Store, err error) {
	if o.DedupeWindow == 0 {
		o.DedupeWindow = protocol.DedupeWindow
	}
	o.Audits = cmp.Or(o.Audits, storage.AuditMost)
	s := &Store{options: o, now: time.Now, hints: newIDHints(), journal: newJournal(), topics: knownTopics{}}
	if path, err = makePlace(path); err != nil {
		return nil, err
	}
	if s.lock, err = acquireLock(path + ".lock"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	s.room = newRoom(path)
	if err = s.prepare(ctx, path); err != nil {
		return nil, err
	}
	if s.writer, err = newWriter(ctx, source(path, "synchronous(FULL)", "secure_delete(ON)", "foreign_keys(ON)",
		"wal_autocheckpoint(16384)", "journal_size_limit(16777216)", "cache_size(-16384)"), hooks{full: s.room.full, begun: s.begun, done: s.done, lost: func() { s.unsure = true }}); err != nil {
		return nil, err
	}
	if s.reader, err = newReader(source(path, "query_only(ON)", "cache_size(-4096)")); err != nil {
		return nil, err
	}
	return s, nil
}

// busyTimeout is how long (ms) a connection waits for a lock. Only others' tools hold one for long: in this process
// writers take turns.
const busyTimeout = "5000"

// source names the file for the driver, with settings for each connection.
func source(path string, pragmas ...string) string {
	// temp_store: what a statement may have to undo stays in memory. In a temporary file it would cost a third of an
	// append's time, and message data would be on the disk where no sweep goes.
	q := url.Values{"_pragma": append([]string{"busy_timeout(" + busyTimeout + ")", "journal_mode(WAL)", "temp_store(MEMORY)"}, pragmas...)}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

// prepare sees to schema, epoch and what is known, on a connection of its own.
func (s *Store) prepare(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", source(path, "synchronous(FULL)", "foreign_keys(ON)"))
	if err != nil {
		return err
	}
	defer db.Close()
	if err := migrate(ctx, db); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	_, err = db.ExecContext(ctx, `INSERT INTO store (epoch) SELECT ? WHERE NOT EXISTS (SELECT 1 FROM store)`, rand.Text())
	if err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, `SELECT epoch FROM store`).Scan(&s.epoch); err != nil {
		return err
	}
	if err := s.readJournal(queries(ctx, db)); err != nil {
		return err
	}
	return s.hints.load(ctx, db)
}

// readJournal makes the journal what its table holds. Which of it has been settled, nobody knows.
func (s *Store) readJournal(query querier) error {
	err := s.journal.load(query)
	s.dirty.add(s.journal.all()...)
	return err
}

// begun sees to what is known by heart when a transaction begins.
func (s *Store) begun(db *conn) error {
	if s.begins {
		clear(s.topics) // the last one failed, and what it read may have been its own
	}
	s.begins = true
	s.journal.next = change{}
	if !s.unsure {
		return nil
	}
	err := s.readJournal(db.rows)
	s.unsure = err != nil
	return err
}

// done is told that a transaction was committed.
func (s *Store) done() {
	s.begins = false
	s.dirty.add(s.journal.commit()...) // settled on their way, perhaps
}

// Now is this machine's clock.
func (s *Store) Now(context.Context) (time.Time, error) { return s.now(), nil }

// Close implements storage.Store.
func (s *Store) Close() error {
	var errs []error
	if s.reader != nil {
		errs = append(errs, s.reader.close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.close()) // last: it takes the WAL into the file and removes it
	}
	errs = append(errs, s.lock.release())
	return errors.Join(errs...)
}

// clock is now as the tables have it.
func (s *Store) clock() int64 { return s.now().UnixMilli() }

// toMilli is a time as the tables have it.
func toMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMilli is a time of a table.
func fromMilli(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// millis is a duration in milliseconds, never shorter than it was.
func millis(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
