package testenv

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"testing"

	"github.com/fastport/fastport/internal/daemon"
)

// shared is the one Postgres of the test process: initdb takes a second, a database a few milliseconds. It ends with
// the process, by its keeper.
var shared = sync.OnceValues(func() (*PostgresServer, error) { return newPostgres(nil) })

// Postgres returns the DSN of a fresh, empty database on a Postgres that all tests of this process share. It syncs to
// disk as in production. The database goes with t.
func Postgres(t testing.TB) (dsn string) {
	t.Helper()
	p, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	dsn, drop, err := p.database()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Errorf("testenv: drop database: %v", err)
		}
	})
	return dsn
}

// PostgresServer is a Postgres for tests that break it.
type PostgresServer struct {
	*Server
	pg       *daemon.Postgres
	settings []string
}

// StartPostgres starts a Postgres of t's own; settings are "name=value". It ends with t.
func StartPostgres(t testing.TB, settings ...string) *PostgresServer {
	t.Helper()
	p, err := newPostgres(t, settings...)
	if p != nil {
		t.Cleanup(p.end)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Database makes a fresh, empty database and returns its DSN.
func (p *PostgresServer) Database() (dsn string) {
	p.t.Helper()
	dsn, _, err := p.database()
	if err != nil {
		p.t.Fatal(err)
	}
	return dsn
}

// Admin is the DSN of the superuser, who may change the server's settings.
func (p *PostgresServer) Admin() (dsn string) { return p.pg.Admin() }

// Exec runs one statement as the superuser.
func (p *PostgresServer) Exec(sql string) {
	p.t.Helper()
	if err := p.exec(context.Background(), sql); err != nil {
		p.t.Fatalf("testenv: %s: %v", sql, err)
	}
}

// newPostgres makes an empty server and starts it.
func newPostgres(t testing.TB, settings ...string) (*PostgresServer, error) {
	p, err := unmadePostgres(t, rand.Text(), settings)
	if err != nil {
		return p, err
	}
	return p, p.pg.Create()
}

// unmadePostgres is a server that has no data yet and does not run.
func unmadePostgres(t testing.TB, password string, settings []string) (*PostgresServer, error) {
	s, err := newServer(t, "postgres")
	if err != nil {
		return nil, err
	}
	p := &PostgresServer{Server: s, settings: settings}
	p.pg, err = daemon.NewPostgres(s.d, password, settings...)
	return p, err
}

func (p *PostgresServer) database() (dsn string, drop func() error, err error) {
	name := "t" + strings.ToLower(rand.Text())
	err = p.exec(context.Background(), "CREATE DATABASE "+name+" OWNER "+daemon.Owner)
	return p.pg.DSN(daemon.Owner, name), func() error {
		return p.exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
	}, err
}

func (p *PostgresServer) exec(ctx context.Context, sql string) error { return p.pg.Exec(ctx, sql) }
