// Package postgres keeps the store in PostgreSQL (15 or newer), for brokers of several nodes.
//
// What has to happen under one lock happens in one call of a function of the schema (migrations/): no lock is ever held
// while a node thinks, sleeps or dies. Locks are taken in one order everywhere: session, topics by id, subscriptions by
// (topic, subscriber). A topic's row is the lock of its seqs and of who is owed them, and is never updated. A call that
// loses all the same did nothing, and is made again.
//
// What was deleted leaves the tables at once, and the disk with the next vacuum; write-ahead log and backups keep it for
// as long as the operator keeps them.
package postgres

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// Store is a storage.Store in one database.
type Store struct {
	pool    *pgxpool.Pool
	servers *servers
	options storage.Options
	round   round

	resetAt atomic.Int64 // when the pool was emptied last, in ns since opened
	opened  time.Time
}

var _ storage.Store = (*Store)(nil)

// Open connects to the database of dsn (a URL or key=value, libpq's parameters and pgxpool's pool_max_conns) and brings
// its schema up to date; of several nodes that open at once, one does and the others wait. A server in recovery is
// refused: ErrUnavailable. Of several hosts, the primary is found, and found again after a failover. Towards another
// host without an sslmode, TLS with verification is used.
func Open(ctx context.Context, dsn string, o storage.Options) (*Store, error) {
	known := new(servers)
	config, err := poolConfig(dsn, known)
	if err != nil {
		return nil, err
	}
	if o.DedupeWindow == 0 {
		o.DedupeWindow = protocol.DedupeWindow
	}
	o.Audits = cmp.Or(o.Audits, storage.AuditMost)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, failed(ctx, "open", err)
	}
	s := &Store{pool: pool, servers: known, options: o, opened: time.Now()}
	if err := s.migrate(ctx); err != nil {
		pool.Close()
		return nil, failed(ctx, "open", err)
	}
	return s, nil
}

// Now implements storage.Store.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	err = s.row(ctx, "SELECT clock_timestamp()").Scan(&now)
	return now, failed(ctx, "now", err)
}

// Close implements storage.Store.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}
