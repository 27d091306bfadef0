package daemon

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// Owner is the role that databases belong to. As in production it is no superuser.
const Owner = "fastport"

// postgresPrograms is where Debian keeps them, off PATH.
const postgresPrograms = "/usr/lib/postgresql/*/bin"

// Postgres is a Postgres on 127.0.0.1 that syncs to disk as in production.
type Postgres struct {
	*Daemon
	Password string // of its superuser and of Owner
	Data     string

	as *syscall.Credential // whom it runs as; nil: whom this process runs as
}

// NewPostgres is a server that has no data yet and does not run. settings are "name=value".
func NewPostgres(d *Daemon, password string, settings ...string) (*Postgres, error) {
	server, err := Program("postgres", "postgresql", postgresPrograms)
	if err != nil {
		return nil, err
	}
	p := &Postgres{Daemon: d, Password: password, Data: filepath.Join(d.Dir, "data")}
	if p.as, err = Unprivileged(); err != nil {
		return nil, err
	}
	if p.as != nil {
		if err := os.Chown(d.Dir, int(p.as.Uid), int(p.as.Gid)); err != nil {
			return nil, err
		}
	}
	_, port, _ := net.SplitHostPort(d.Addr)
	d.Quit = syscall.SIGINT // "fast": ends the sessions, keeps the rest in order
	d.Command = func() *exec.Cmd {
		args := []string{"-D", p.Data, "-p", port}
		for _, setting := range append([]string{
			"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"}, settings...) {
			args = append(args, "-c", setting)
		}
		cmd := exec.Command(server, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
		return cmd
	}
	d.Ready = func(ctx context.Context) error { return p.Exec(ctx, "SELECT") }
	return p, nil
}

// Create makes the data, starts the server, and makes Owner.
func (p *Postgres) Create() error {
	secret := filepath.Join(p.Dir, "password")
	if err := os.WriteFile(secret, []byte(p.Password), 0o644); err != nil { // the folder is its owner's alone
		return err
	}
	// The server syncs; the making of an empty one need not.
	if err := p.Tool("initdb", "--no-sync", "--auth=scram-sha-256", "--pwfile="+secret, "--username=postgres",
		"--encoding=UTF8", "--locale=C", "--pgdata="+p.Data); err != nil {
		return err
	}
	if err := p.Start(); err != nil {
		return err
	}
	return p.Exec(context.Background(), "CREATE ROLE "+Owner+" LOGIN PASSWORD '"+p.Password+"'")
}

// Tool runs one of Postgres' programs to its end, as the server's user and in its folder.
func (p *Postgres) Tool(name string, args ...string) error {
	path, err := Program(name, "postgresql", postgresPrograms)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.SysProcAttr = p.Dir, &syscall.SysProcAttr{Credential: p.as}
	cmd.Env = append(os.Environ(), "PGPASSWORD="+p.Password)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("daemon: %s: %w\n%s", name, err, said)
	}
	return nil
}

// Exec runs one statement as the superuser.
func (p *Postgres) Exec(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, p.Admin())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// Admin is the DSN of the superuser, who may change the server's settings.
func (p *Postgres) Admin() (dsn string) { return p.DSN("postgres", "postgres") }

// DSN is how a role finds a database of the server.
func (p *Postgres) DSN(role, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(role, p.Password), Host: p.Addr, Path: "/" + database,
		RawQuery: "sslmode=disable"}
	return u.String()
}
