package main

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"
	"github.com/fastport/fastport/storage/postgres"
	"github.com/fastport/fastport/storage/sqlite"
)

// storeTimeout bounds opening the store, its migrations included.
const storeTimeout = 2 * time.Minute

// openStore opens the store that c names, with its schema up to date. The text says which it is, without a secret.
func openStore(ctx context.Context, c *Config) (s storage.Store, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	o := storage.Options{StoredBytes: int64(c.MaxStoredBytes), DurableSubscribers: c.MaxDurable}
	switch c.DBType {
	case dbMemory:
		return memory.Open(o, time.Now), "memory storage: everything is gone when this process ends", nil
	case dbPostgres:
		if s, err = postgres.Open(ctx, c.PostgresURL(), o); err != nil {
			return nil, "", fmt.Errorf("cannot open Postgres (%s): %w. Are DATABASE_URL, or DB_HOST and its kin, right? A server without TLS needs sslmode=disable", postgresText(c.PostgresURL()), err)
		}
		return s, "Postgres storage: " + postgresText(c.PostgresURL()), nil
	default:
		if s, err = sqlite.Open(ctx, c.SQLitePath, o); err != nil {
			return nil, "", fmt.Errorf("cannot open SQLITE_PATH=%s: %w", c.SQLitePath, err)
		}
		return s, "SQLite storage: " + c.SQLitePath, nil
	}
}

// postgresText is where a database is, without its password.
func postgresText(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return "DATABASE_URL"
	}
	return fmt.Sprintf("%s on %s", u.Path, u.Host)
}
