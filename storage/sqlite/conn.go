package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
)

// conn is the writing connection with its statements, each prepared when first used and kept. Contexts end no statement
// here: what has begun is seen through.
type conn struct {
	c        *sql.Conn
	prepared map[string]*sql.Stmt
}

func (c *conn) stmt(query string) (*sql.Stmt, error) {
	if st := c.prepared[query]; st != nil {
		return st, nil
	}
	st, err := c.c.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	c.prepared[query] = st
	return st, nil
}

// exec runs a statement for its effect.
func (c *conn) exec(query string, args ...any) error {
	_, err := c.change(query, args...)
	return err
}

// change runs a statement and says how many rows it changed.
func (c *conn) change(query string, args ...any) (int64, error) {
	st, err := c.stmt(query)
	if err != nil {
		return 0, err
	}
	res, err := st.Exec(args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row runs a query for its one row.
func (c *conn) row(query string, args ...any) row {
	st, err := c.stmt(query)
	if err != nil {
		return row{err: err}
	}
	return row{r: st.QueryRow(args...)}
}

// rows runs a query and gives each row to scan.
func (c *conn) rows(scan func(*sql.Rows) error, query string, args ...any) error {
	st, err := c.stmt(query)
	if err != nil {
		return err
	}
	rows, err := st.Query(args...)
	if err != nil {
		return err
	}
	return each(rows, scan)
}

// insert writes rows of so many columns, many to a statement: most of a statement's cost is not in its rows.
func (c *conn) insert(into string, columns int, values []any) error {
	for len(values) > 0 {
		rows := 1
		for rows < 32 && 2*rows*columns <= len(values) { // powers of two: few statements to keep
			rows *= 2
		}
		if err := c.exec(into+tuples(columns, rows), values[:rows*columns]...); err != nil {
			return err
		}
		values = values[rows*columns:]
	}
	return nil
}

// tuples is rows of placeholders.
func tuples(columns, rows int) string {
	one := "(?" + strings.Repeat(", ?", columns-1) + ")"
	return one + strings.Repeat(", "+one, rows-1)
}

func (c *conn) close() error {
	errs := make([]error, 0, len(c.prepared)+1)
	for _, st := range c.prepared {
		errs = append(errs, st.Close())
	}
	return errors.Join(append(errs, c.c.Close())...)
}

// row is an sql.Row that may have failed before.
type row struct {
	r   *sql.Row
	err error
}

func (r row) Scan(dst ...any) error {
	if r.err != nil {
		return r.err
	}
	return r.r.Scan(dst...)
}

// reader is the connections that read, with their statements. Each query sees one snapshot, and needs no turn.
type reader struct {
	pool *sql.DB

	mu       sync.Mutex // guards the following
	prepared map[string]*sql.Stmt
}

// readers is how many read at the same time; others wait.
const readers = 4

func newReader(source string) (*reader, error) {
	pool, err := sql.Open("sqlite", source)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(readers)
	pool.SetMaxIdleConns(readers)
	return &reader{pool: pool, prepared: map[string]*sql.Stmt{}}, nil
}

func (r *reader) stmt(query string) (*sql.Stmt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if st := r.prepared[query]; st != nil {
		return st, nil
	}
	st, err := r.pool.Prepare(query)
	if err != nil {
		return nil, err
	}
	r.prepared[query] = st
	return st, nil
}

// row runs a query for its one row.
func (r *reader) row(ctx context.Context, query string, args ...any) row {
	st, err := r.stmt(query)
	if err != nil {
		return row{err: err}
	}
	return row{r: st.QueryRowContext(ctx, args...)}
}

// rows runs a query and gives each row to scan, whose errStop ends it without an error.
func (r *reader) rows(ctx context.Context, scan func(*sql.Rows) error, query string, args ...any) error {
	st, err := r.stmt(query)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	return each(rows, scan)
}

func (r *reader) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	errs := make([]error, 0, len(r.prepared)+1)
	for _, st := range r.prepared {
		errs = append(errs, st.Close())
	}
	clear(r.prepared)
	return errors.Join(append(errs, r.pool.Close())...)
}

// errStop is what a scan returns that has seen enough.
var errStop = errors.New("stop")

func each(rows *sql.Rows, scan func(*sql.Rows) error) error {
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err == errStop {
			return rows.Close()
		} else if err != nil {
			return err
		}
	}
	return rows.Err()
}
