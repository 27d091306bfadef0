package testenv

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// owner is the role that databases of tests belong to. As in production it is no superuser.
const owner = "fastport"

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
	password string
	data     string
	as       *syscall.Credential // whom it runs as; nil: whom the test runs as
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
func (p *PostgresServer) Admin() (dsn string) { return p.dsn("postgres", "postgres") }

// Exec runs one statement as the superuser.
func (p *PostgresServer) Exec(sql string) {
	p.t.Helper()
	if err := p.exec(context.Background(), sql); err != nil {
		p.t.Fatalf("testenv: %s: %v", sql, err)
	}
}

// postgresPrograms is where Debian keeps them, off PATH.
const postgresPrograms = "/usr/lib/postgresql/*/bin"

// newPostgres makes an empty server and starts it.
func newPostgres(t testing.TB, settings ...string) (*PostgresServer, error) {
	p, err := unmadePostgres(t, rand.Text(), settings)
	if err != nil {
		return p, err
	}
	secret := filepath.Join(p.dir, "password")
	if err := os.WriteFile(secret, []byte(p.password), 0o644); err != nil { // the folder is its owner's alone
		return p, err
	}
	// The server syncs; the making of an empty one need not.
	if err := p.tool("initdb", "--no-sync", "--auth=scram-sha-256", "--pwfile="+secret, "--username=postgres",
		"--encoding=UTF8", "--locale=C", "--pgdata="+p.data); err != nil {
		return p, err
	}
	if err := p.start(); err != nil {
		return p, err
	}
	return p, p.exec(context.Background(), "CREATE ROLE "+owner+" LOGIN PASSWORD '"+p.password+"'")
}

// unmadePostgres is a server that has no data yet and does not run.
func unmadePostgres(t testing.TB, password string, settings []string) (*PostgresServer, error) {
	server, err := binary("postgres", "postgresql", postgresPrograms)
	if err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	s, err := newServer(t, "postgres", as)
	if err != nil {
		return nil, err
	}
	p := &PostgresServer{Server: s, password: password, data: filepath.Join(s.dir, "data"), as: as, settings: settings}
	_, port, _ := net.SplitHostPort(s.addr)
	s.quit = syscall.SIGINT // "fast": ends the sessions, keeps the rest in order
	s.command = func() *exec.Cmd {
		args := []string{"-D", p.data, "-p", port}
		for _, setting := range append([]string{
			"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"}, settings...) {
			args = append(args, "-c", setting)
		}
		cmd := exec.Command(server, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		return cmd
	}
	s.ready = func(ctx context.Context) error { return p.exec(ctx, "SELECT") }
	return p, nil
}

// tool runs one of Postgres' programs to its end, as the server's user and in its folder.
func (p *PostgresServer) tool(name string, args ...string) error {
	path, err := binary(name, "postgresql", postgresPrograms)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.SysProcAttr = p.dir, &syscall.SysProcAttr{Credential: p.as}
	cmd.Env = append(os.Environ(), "PGPASSWORD="+p.password)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("testenv: %s: %w\n%s", name, err, said)
	}
	return nil
}

func (p *PostgresServer) database() (dsn string, drop func() error, err error) {
	name := "t" + strings.ToLower(rand.Text())
	err = p.exec(context.Background(), "CREATE DATABASE "+name+" OWNER "+owner)
	return p.dsn(owner, name), func() error {
		return p.exec(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
	}, err
}

func (p *PostgresServer) exec(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.Admin())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

func (p *PostgresServer) dsn(user, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(user, p.password), Host: p.addr, Path: "/" + database,
		RawQuery: "sslmode=disable"}
	return u.String()
}
