package testenv

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fastport/fastport/internal/daemon"
)

func query(t *testing.T, dsn, sql string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var value string
	if err := conn.QueryRow(ctx, sql).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestPostgres_GivesFreshDatabasesOfAServerThatSyncs(t *testing.T) {
	a, b := Postgres(t), Postgres(t)
	if a == b {
		t.Fatal("two calls gave one database")
	}
	if got := query(t, a, "SELECT current_setting('fsync') || current_setting('synchronous_commit')"); got != "onon" {
		t.Fatalf("fsync, synchronous_commit = %s, want onon", got)
	}
	if got := query(t, a, "SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user"); got != "false" {
		t.Fatalf("superuser = %s, want false", got)
	}
}

func TestPostgres_ComesBackAfterEveryFaultWithItsDataAndAddress(t *testing.T) {
	p := StartPostgres(t, "log_min_messages=warning")
	dsn := p.Database()
	query(t, dsn, "SELECT 1::text FROM (SELECT set_config('a.b','c',false)) x")
	p.Kill()
	if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("dial a killed server: %v, want refused", err)
	}
	p.Restart()
	p.Freeze()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if conn, err := pgx.Connect(ctx, dsn); err == nil {
		conn.Close(ctx)
		t.Fatal("a frozen server answered")
	}
	p.Thaw()
	if got := query(t, dsn, "SELECT current_setting('log_min_messages')"); got != "warning" {
		t.Fatalf("setting = %s, want warning", got)
	}
	p.Stop()
	p.Restart()
	query(t, dsn, "SELECT 'up'")
}

func TestRedis_RestartsEmptyAtItsAddress(t *testing.T) {
	s := StartRedis(t)
	if got := redis(t, s.Addr(), "SET k v"); got != "+OK" {
		t.Fatalf("SET says %q", got)
	}
	s.Kill()
	s.Restart()
	if got := redis(t, s.Addr(), "EXISTS k"); got != ":0" {
		t.Fatalf("EXISTS says %q, want :0", got)
	}
}

func redis(t *testing.T, addr, command string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(conn, command+"\r\n")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(answer)
}

// A copy of this test starts frozen and running servers and is killed: nothing of them may stay.
func TestServers_DieWithAKilledTestProcess(t *testing.T) {
	if os.Getenv("TESTENV_VICTIM") != "" {
		p, frozen, r := StartPostgres(t), StartPostgres(t), StartRedis(t)
		frozen.Freeze()
		shared := Postgres(t)
		os.Stdout.WriteString(strings.Join([]string{"servers", p.dir, frozen.dir, r.dir, shared, "\n"}, " "))
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestServers_DieWithAKilledTestProcess$")
	cmd.Env = append(os.Environ(), "TESTENV_VICTIM=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	cmd.Process.Kill()
	cmd.Wait()
	words := strings.Fields(line)
	if err != nil || len(words) != 5 || words[0] != "servers" {
		t.Fatalf("victim says %q, %v", line, err)
	}
	for _, dir := range words[1:4] {
		eventually(t, dir+" is gone", func() bool { _, err := os.Stat(dir); return os.IsNotExist(err) })
		eventually(t, "no process names "+dir, func() bool { return !named(dir) })
	}
	config, err := pgx.ParseConfig(words[4])
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the shared server is gone", func() bool {
		conn, err := net.Dial("tcp", net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

// named says whether a process has text in its command line.
func named(text string) bool {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		if line, err := os.ReadFile(path); err == nil && strings.Contains(string(line), text) {
			return true
		}
	}
	return false
}

func eventually(t *testing.T, claim string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !holds() {
		if !daemon.Pause(ctx) {
			t.Fatalf("never: %s", claim)
		}
	}
}

func TestPostgres_AStandbyFollowsIsAwaitedAndTakesOver(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	p := StartPostgres(t)
	s := p.Standby()
	dsn := p.Database()
	run := func(dsn, sql string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		_, err = conn.Exec(ctx, sql)
		return err
	}
	query(t, dsn, "SELECT 'made' FROM (SELECT 1) x")
	p.Exec("CREATE TABLE streamed ()")
	s.CatchUp(p)
	if got := query(t, s.Admin(), "SELECT pg_is_in_recovery()::text || to_regclass('streamed')::text"); got != "truestreamed" {
		t.Fatalf("the standby says %s, want that it is one and has the table", got)
	}

	p.Synchronous(s)
	s.Freeze()
	if err := run(p.Admin(), "CREATE TABLE awaited ()"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("commit with the standby frozen: %v, want that it waits", err)
	}
	s.Thaw()
	p.Exec("CREATE TABLE confirmed ()")
	p.Synchronous(nil)
	s.Detach()
	p.Exec("CREATE TABLE missed ()")

	p.Kill()
	s.Promote()
	if got := query(t, Hosts(dsn, p, s), "SELECT pg_is_in_recovery()::text"); got != "false" {
		t.Fatalf("in recovery = %s, want the promoted one", got)
	}
	if got := query(t, s.Admin(), "SELECT coalesce(to_regclass('confirmed')::text, 'lost') || coalesce(to_regclass('missed')::text, 'lost')"); got != "confirmedlost" {
		t.Fatalf("the promoted one has %s, want what was confirmed and not what it missed", got)
	}
	p.Follow(s)
	s.Exec("CREATE TABLE turned ()")
	p.CatchUp(s)
	if got := query(t, p.Admin(), "SELECT to_regclass('turned')::text"); got != "turned" {
		t.Fatalf("the old primary has %s, want what the new one made", got)
	}
}
