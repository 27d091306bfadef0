package testenv

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/fastport/fastport/internal/daemon"
)

// Standby makes a server that follows p: a base backup, and from there p's log as it is written. It ends with p's test.
// p's commits do not wait for it, unless Synchronous says so.
func (p *PostgresServer) Standby() *PostgresServer {
	p.t.Helper()
	s, err := unmadePostgres(p.t, p.pg.Password, p.settings)
	if s != nil {
		p.t.Cleanup(s.end)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	s.Follow(p)
	return s
}

// Follow makes p a standby of primary, whatever it was and held before, as an operator rebuilds a server that has failed.
func (p *PostgresServer) Follow(primary *PostgresServer) {
	p.t.Helper()
	if p.d.Running() {
		p.Stop()
	}
	if err := os.RemoveAll(p.pg.Data); err != nil {
		p.t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(primary.addr)
	from := fmt.Sprintf("host=%s port=%s user=postgres sslmode=disable application_name=%s", host, port, p.standbyName())
	if err := p.pg.Tool("pg_basebackup", "--dbname="+from, "--pgdata="+p.pg.Data, "--write-recovery-conf", "--wal-method=stream",
		"--checkpoint=fast", "--no-sync", "--no-password"); err != nil {
		p.t.Fatal(err)
	}
	p.Restart()
	primary.awaitTrue("the standby streams", "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming' AND application_name = '"+p.standbyName()+"'")
}

// standbyName is how a server calls itself at its primary.
func (p *PostgresServer) standbyName() string {
	_, port, _ := net.SplitHostPort(p.addr)
	return "standby" + port
}

// Synchronous makes p's commits wait until the standby has them on its disk; with nil they wait for nobody any more.
func (p *PostgresServer) Synchronous(standby *PostgresServer) {
	p.t.Helper()
	if standby == nil {
		p.set("synchronous_standby_names", "")
		p.awaitTrue("commits wait for nobody", "SELECT current_setting('synchronous_standby_names') = ''")
		return
	}
	p.set("synchronous_standby_names", standby.standbyName())
	p.awaitTrue("commits wait for the standby", "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND application_name = '"+standby.standbyName()+"'")
}

// Detach ends a standby's following: it runs on, and what its primary commits from here on never reaches it.
func (p *PostgresServer) Detach() {
	p.t.Helper()
	p.set("primary_conninfo", "")
	p.awaitTrue("the standby follows nobody", "SELECT count(*) = 0 FROM pg_stat_wal_receiver")
}

// CatchUp waits until the standby has replayed all that its primary has committed.
func (p *PostgresServer) CatchUp(primary *PostgresServer) {
	p.t.Helper()
	primary.awaitTrue("the standby has caught up", "SELECT count(*) = 1 FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn() AND application_name = '"+p.standbyName()+"'")
}

// Demote restarts the server as a standby: in recovery, following nobody, taking reads alone.
func (p *PostgresServer) Demote() {
	p.t.Helper()
	p.Stop()
	if err := os.WriteFile(filepath.Join(p.pg.Data, "standby.signal"), nil, 0o644); err != nil {
		p.t.Fatal(err)
	}
	p.Restart()
}

// Promote makes a standby the primary of a new timeline, and returns once it is.
func (p *PostgresServer) Promote() { p.t.Helper(); p.Exec("SELECT pg_promote()") }

// Hosts is the DSN that names several servers for one database: the first that takes writes is meant.
func Hosts(dsn string, servers ...*PostgresServer) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err) // it is one of this package's
	}
	addrs := make([]string, len(servers))
	for i, s := range servers {
		addrs[i] = s.addr
	}
	u.Host = strings.Join(addrs, ",")
	u.RawQuery += "&target_session_attrs=read-write"
	return u.String()
}

// set changes a setting of the running server, for good.
func (p *PostgresServer) set(name, value string) {
	p.t.Helper()
	p.Exec("ALTER SYSTEM SET " + name + " = '" + value + "'")
	p.Exec("SELECT pg_reload_conf()")
}

// awaitTrue asks the superuser's query until it says true.
func (p *PostgresServer) awaitTrue(claim, sql string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		var is bool
		conn, err := pgx.Connect(ctx, p.Admin())
		if err == nil {
			err = conn.QueryRow(ctx, sql).Scan(&is)
			conn.Close(ctx)
		}
		if is {
			return
		}
		if !daemon.Pause(ctx) {
			p.t.Fatalf("testenv: never: %s: %v\n%s", claim, err, p.log())
		}
	}
}
