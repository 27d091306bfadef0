package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// tries bounds how often a statement is made that loses against others: each time, one of them has gone on.
const tries = 4

// resetEvery bounds how often the pool is emptied: where that does not help, it must not cost much.
const resetEvery = 2 * time.Second

// again makes a call, and makes it again while it lost. A call is one statement and so one transaction: what lost did
// nothing. Not for a statement inside a transaction.
func (s *Store) again(ctx context.Context, call func() error) (err error) {
	for range tries {
		if err = call(); !collided(err) {
			break
		}
	}
	var pg *pgconn.PgError
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.As(err, &pg) && pg.Code == readOnly {
		s.reset()
	}
	return err
}

// reset has the calls to come make new connections, because the server behind the old ones may be dead, or no primary
// any more: else each of them would find that out at the cost of a deadline.
func (s *Store) reset() {
	now, last := int64(time.Since(s.opened)), s.resetAt.Load()
	if (last == 0 || now-last > int64(resetEvery)) && s.resetAt.CompareAndSwap(last, now) {
		s.pool.Reset()
	}
}

// admit refuses an answer of a server that has been replaced by another.
func (s *Store) admit(epoch string) error {
	err := s.servers.admit(epoch)
	if err != nil {
		s.reset()
	}
	return err
}

// exec runs a statement that answers with no rows, again if it lost.
func (s *Store) exec(ctx context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	err = s.again(ctx, func() (err error) {
		tag, err = s.pool.Exec(ctx, sql, args...)
		return err
	})
	return tag, err
}

// row is a statement that answers with one row. It runs when it is scanned, again if it lost.
func (s *Store) row(ctx context.Context, sql string, args ...any) pgx.Row {
	return row(func(dest []any) error {
		return s.again(ctx, func() error { return s.pool.QueryRow(ctx, sql, args...).Scan(dest...) })
	})
}

type row func(dest []any) error

// Scan implements pgx.Row.
func (r row) Scan(dest ...any) error { return r(dest) }

// query runs a statement whose rows collect reads to their end, again if it lost.
func query[T any](ctx context.Context, s *Store, collect func(pgx.Rows) (T, error), sql string, args ...any) (out T, err error) {
	err = s.again(ctx, func() error {
		rows, err := s.pool.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		out, err = collect(rows)
		return err
	})
	return out, err
}

// each reads every row with scan.
func each[T any](scan pgx.RowToFunc[T]) func(pgx.Rows) ([]T, error) {
	return func(rows pgx.Rows) ([]T, error) { return pgx.CollectRows(rows, scan) }
}

// one reads the only row with scan: pgx.ErrNoRows where there is none.
func one[T any](scan pgx.RowToFunc[T]) func(pgx.Rows) (T, error) {
	return func(rows pgx.Rows) (T, error) { return pgx.CollectExactlyOneRow(rows, scan) }
}
