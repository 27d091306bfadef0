package testenv

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fastport/fastport/internal/daemon"
)

// masterName is how the Sentinels of tests call their master.
const masterName = "fastport"

// RedisSentinel is a Redis with a replica, and Sentinels that fail over from one to the other.
type RedisSentinel struct {
	Master    *Server // at the start
	Replica   *Server
	Sentinels []*Server
}

// StartRedisSentinel starts a master, its replica and three Sentinels that find a master dead after a second, and
// returns once all know each other. They end with t.
func StartRedisSentinel(t testing.TB) *RedisSentinel {
	t.Helper()
	s := &RedisSentinel{Master: StartRedis(t, "--repl-diskless-sync-delay", "0")}
	host, port, _ := net.SplitHostPort(s.Master.Addr())
	s.Replica = StartRedis(t, "--repl-diskless-sync-delay", "0", "--replicaof", host, port)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := persist(ctx, s.Replica.Addr(), inStep); err != nil {
		t.Fatalf("testenv: redis replica: %v", err)
	}
	for range 3 {
		s.Sentinels = append(s.Sentinels, startSentinel(t, s.Master))
	}
	for _, each := range s.Sentinels {
		if err := persist(ctx, each.Addr(), func(r *goredis.Client) error {
			said, err := r.Do(ctx, "INFO", "sentinel").Text()
			if err == nil && !strings.Contains(said, "status=ok") || !strings.Contains(said, "slaves=1,sentinels=3") {
				err = fmt.Errorf("not all know each other yet: %s", said)
			}
			return err
		}); err != nil {
			t.Fatalf("testenv: sentinel: %v", err)
		}
	}
	return s
}

// URL is the setting that finds the master, whoever it is.
func (s *RedisSentinel) URL() string {
	url := "redis://" + s.Sentinels[0].Addr() + "?master_name=" + masterName
	for _, each := range s.Sentinels[1:] {
		url += "&addr=" + each.Addr()
	}
	return url
}

func startSentinel(t testing.TB, master *Server) *Server {
	t.Helper()
	path, err := daemon.Program("redis-server", "redis-server")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(t, "sentinel")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	host, port, _ := net.SplitHostPort(master.Addr())
	_, own, _ := net.SplitHostPort(s.addr)
	file := filepath.Join(s.dir, "sentinel.conf") // it writes there what it learns
	config := fmt.Sprintf("bind 127.0.0.1\nport %s\ndir %s\nsentinel monitor %[3]s %s %s 2\n"+
		"sentinel down-after-milliseconds %[3]s 1000\nsentinel failover-timeout %[3]s 4000\n", own, s.dir, masterName, host, port)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	s.d.Quit = syscall.SIGTERM
	s.d.Command = func() *exec.Cmd { return exec.Command(path, file, "--sentinel") }
	s.d.Ready = func(ctx context.Context) error { return daemon.PingRedis(ctx, s.addr) }
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	return s
}
