package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/fastport/fastport/storage"
)

// mostCost bounds a transaction, in rows or so: whoever comes behind it waits for all of it.
const mostCost = 4096

// writer runs jobs on the one connection that writes. Whoever gets its turn runs all jobs that wait, in order, in one
// transaction with one sync; so callers at the same time share it, and a caller alone waits for nobody.
//
// A job may be run more than once (after a rollback) and must set its results anew each time. What it refuses without
// having written is a result; an error means rollback: the transaction's jobs are then run each by itself, so that it
// fails alone. The queue holds one job a caller, and callers wait.
type writer struct {
	pool *sql.DB
	db   *conn         // used only by whoever has the turn
	turn chan struct{} // holds the one token
	hook hooks
	over chan struct{} // closed by close

	wrote atomic.Bool // committed something since the sweep last asked

	mu      sync.Mutex // guards the following
	waiting []*job
	closed  bool
}

// hooks are what the store has to do about transactions. All are called by whoever has the turn.
type hooks struct {
	full  func()               // the disk is full; the jobs are tried again then
	begun func(db *conn) error // a transaction has begun
	done  func()               // it was committed
	lost  func()               // nobody knows whether it was
}

type job struct {
	run  func(db *conn) error
	cost int
	err  error // set before done is closed
	done chan struct{}
}

// errUnknown marks a commit that failed for another reason than room: it may have happened.
var errUnknown = errors.New("commit's outcome unknown")

func newWriter(ctx context.Context, source string, hook hooks) (*writer, error) {
	pool, err := sql.Open("sqlite", source)
	if err != nil {
		return nil, err
	}
	c, err := pool.Conn(ctx)
	if err != nil {
		_ = pool.Close()
		return nil, err
	}
	w := &writer{pool: pool, db: &conn{c: c, prepared: map[string]*sql.Stmt{}}, turn: make(chan struct{}, 1), hook: hook, over: make(chan struct{})}
	w.turn <- struct{}{}
	return w, nil
}

// do runs a job and returns when it is committed. ctx bounds the wait for its turn; once begun it is seen through.
func (w *writer) do(ctx context.Context, cost int, run func(db *conn) error) error {
	j := &job{run: run, cost: cost, done: make(chan struct{})}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return errClosed
	}
	w.waiting = append(w.waiting, j)
	w.mu.Unlock()
	for {
		select {
		case <-j.done:
			return j.err
		case <-w.turn:
			w.commit(w.take())
			w.turn <- struct{}{}
		case <-ctx.Done():
			if w.withdraw(j) {
				return context.Cause(ctx)
			}
			<-j.done
			return j.err
		}
	}
}

// alone runs f on the connection outside of any transaction.
func (w *writer) alone(ctx context.Context, f func(db *conn) error) error {
	select {
	case <-w.turn:
		defer func() { w.turn <- struct{}{} }()
		return f(w.db)
	case <-w.over:
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// take takes the jobs of the next transaction out of the queue.
func (w *writer) take() []*job {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, cost := 0, 0
	for n < len(w.waiting) && (n == 0 || cost+w.waiting[n].cost <= mostCost) {
		cost += w.waiting[n].cost
		n++
	}
	jobs := w.waiting[:n:n]
	w.waiting = w.waiting[n:]
	if len(w.waiting) == 0 {
		w.waiting = nil
	}
	return jobs
}

// withdraw takes back a job that nobody has begun.
func (w *writer) withdraw(j *job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, x := range w.waiting {
		if x == j {
			w.waiting = append(w.waiting[:i:i], w.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// commit runs jobs in one transaction or, if that fails, in one each.
func (w *writer) commit(jobs []*job) {
	if len(jobs) == 0 {
		return
	}
	err := w.transact(jobs)
	again := len(jobs) > 1
	if isFull(err) {
		w.hook.full()
		again = true
	}
	for _, j := range jobs {
		if j.err = err; err != nil && again && !errors.Is(err, errUnknown) {
			j.err = w.transact([]*job{j})
		}
		close(j.done)
	}
}

// transact runs jobs in one transaction. On an error nothing of it is left, unless it is errUnknown.
func (w *writer) transact(jobs []*job) error {
	if err := w.db.exec(`BEGIN IMMEDIATE`); err != nil {
		return err
	}
	err := w.hook.begun(w.db)
	for i := 0; i < len(jobs) && err == nil; i++ {
		err = jobs[i].run(w.db)
	}
	if err != nil {
		w.rollback()
		return err
	}
	if err = w.db.exec(`COMMIT`); err == nil {
		w.wrote.Store(true)
		w.hook.done()
		return nil
	}
	w.rollback()
	if isFull(err) {
		return err
	}
	w.hook.lost()
	return fmt.Errorf("%w: %w", errUnknown, err)
}

// rollback ends the transaction. Where SQLite has done so itself, as it does when the disk is full, it complains: that
// is no news.
func (w *writer) rollback() { _ = w.db.exec(`ROLLBACK`) }

// close waits for what has begun and refuses what comes.
func (w *writer) close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	w.mu.Unlock()
	<-w.turn
	close(w.over)
	for jobs := w.take(); len(jobs) > 0; jobs = w.take() {
		w.commit(jobs)
	}
	// The turn is kept: nobody gets to the connection any more.
	return errors.Join(w.db.close(), w.pool.Close())
}

var errClosed = fmt.Errorf("closed: %w", storage.ErrUnavailable)
