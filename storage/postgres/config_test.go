package postgres

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fastport/fastport/storage"
)

func TestConfig_AnotherHostIsReachedByVerifiedTLSUnlessTheDSNSaysOtherwise(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	for _, c := range []struct {
		dsn      string
		verified bool
	}{
		{"postgres://u:p@db.example/app", true},
		{"postgres://u:p@db.example/app?pool_max_conns=3", true},
		{"host=db.example user=u dbname=app", true},
		{"postgres://u:p@127.0.0.1,db.example/app", true},
		{"postgres://u:p@db.example/app?sslmode=disable", false},
		{"postgres://u:p@db.example/app?sslmode=prefer", false},
		{"postgres://u:p@localhost/app", false},
		{"postgres://u:p@[::1]:5433/app", false},
		{"host=/run/postgresql dbname=app", false},
	} {
		config, err := poolConfig(c.dsn, new(servers))
		if err != nil {
			t.Fatalf("%s: %v", c.dsn, err)
		}
		verified := verifies(config.ConnConfig.Config.TLSConfig != nil && !config.ConnConfig.TLSConfig.InsecureSkipVerify, config.ConnConfig)
		if verified != c.verified {
			t.Errorf("%s: verified = %v, want %v", c.dsn, verified, c.verified)
		}
	}
}

// verifies says whether the first server and all that come after it are reached by verified TLS.
func verifies(first bool, c *pgx.ConnConfig) bool {
	for _, f := range c.Fallbacks {
		first = first && f.TLSConfig != nil && !f.TLSConfig.InsecureSkipVerify
	}
	return first
}

func TestConfig_ConnectionsSyncAndNothingOnTheServerCancelsACommit(t *testing.T) {
	config, err := poolConfig("postgres://u:p@localhost/app?synchronous_commit=off&statement_timeout=5s&pool_max_conns=3", new(servers))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"synchronous_commit": "on", "statement_timeout": "0"} {
		if got := config.ConnConfig.RuntimeParams[name]; got != want {
			t.Errorf("%s = %s, want %s, whatever the DSN says", name, got, want)
		}
	}
	if config.MaxConns != 3 {
		t.Errorf("connections = %d, want the DSN's 3", config.MaxConns)
	}
}

func TestErrors_SpeakTheContract(t *testing.T) {
	over, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrClosedPipe)
	for _, c := range []struct {
		ctx  context.Context
		err  error
		want error
	}{
		{t.Context(), pgx.ErrNoRows, storage.ErrNotFound},
		{t.Context(), &pgconn.PgError{Code: "53100"}, storage.ErrFull},
		{t.Context(), &pgconn.PgError{Code: "53300"}, storage.ErrUnavailable}, // too many connections
		{t.Context(), &pgconn.PgError{Code: "57P01"}, storage.ErrUnavailable}, // shutting down
		{t.Context(), &pgconn.PgError{Code: "55000"}, storage.ErrUnavailable}, // in recovery
		{t.Context(), &pgconn.PgError{Code: "55P03"}, storage.ErrUnavailable}, // lock timeout
		{t.Context(), &pgconn.PgError{Code: "22021"}, storage.ErrInvalid},     // U+0000
		{t.Context(), &pgconn.PgError{Code: "23505"}, storage.ErrExists},
		{t.Context(), io.ErrUnexpectedEOF, storage.ErrUnavailable},
		{over, io.ErrUnexpectedEOF, storage.ErrUnavailable},
		{over, io.ErrUnexpectedEOF, io.ErrClosedPipe}, // the cause is told
	} {
		if got := failed(c.ctx, "test", c.err); !errors.Is(got, c.want) {
			t.Errorf("%v became %v, want %v", c.err, got, c.want)
		}
	}
	if err := failed(over, "test", nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}
