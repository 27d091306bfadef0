package rig

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fastport/fastport/internal/daemon"
)

// masterName is what the Sentinels call the master.
const masterName = "fastport"

// A second failover may come twice failover-timeout after the first.
const sentinelConfig = `bind 127.0.0.1
port %[1]s
dir %[2]s
sentinel monitor %[3]s 127.0.0.1 %[4]s 2
sentinel down-after-milliseconds %[3]s 2000
sentinel failover-timeout %[3]s 5000
`

// startSentinels returns once three of them know each other and the replica.
func (r *Redis) startSentinels(ctx context.Context, c *Cluster) error {
	_, master, _ := net.SplitHostPort(r.current().Addr)
	for i := range 3 {
		d, err := c.daemon(fmt.Sprintf("sentinel-%d", i+1))
		if err != nil {
			return err
		}
		path, err := daemon.Program("redis-server", "redis-server")
		if err != nil {
			return err
		}
		_, port, _ := net.SplitHostPort(d.Addr)
		file := filepath.Join(d.Dir, "sentinel.conf") // it writes there what it learns
		if err := os.WriteFile(file, fmt.Appendf(nil, sentinelConfig, port, d.Dir, masterName, master), 0o600); err != nil {
			return fmt.Errorf("rig: %w", err)
		}
		d.Quit = syscall.SIGTERM
		d.Command = func() *exec.Cmd { return exec.Command(path, file, "--sentinel") }
		d.Ready = func(ctx context.Context) error { return daemon.PingRedis(ctx, d.Addr) }
		r.sentinels = append(r.sentinels, d)
		if err := d.Start(); err != nil {
			return err
		}
	}
	return r.await(ctx, "the Sentinels know each other and the replica", func(ctx context.Context, s *redis.SentinelClient) bool {
		m, err := s.Master(ctx, masterName).Result()
		return err == nil && m["num-other-sentinels"] == "2" && m["num-slaves"] == "1" && m["flags"] == "master"
	})
}

// Failover kills the master, waits until the Sentinels have made another, and brings the old one back as its replica.
// What the master had not passed on is lost, as it is in a real one.
func (r *Redis) Failover() error {
	if len(r.sentinels) == 0 {
		return errNoSentinel
	}
	r.op.Lock()
	defer r.op.Unlock()
	r.ask()
	old := r.current()
	if err := old.Kill(); err != nil {
		return err
	}
	return r.settle(old)
}

// settle waits until the Sentinels have agreed on a master other than old, and brings old back as its replica.
func (r *Redis) settle(old *daemon.Daemon) error {
	err := r.await(context.Background(), "the Sentinels have chosen another master", func(ctx context.Context, s *redis.SentinelClient) bool {
		d := r.named(ctx, s)
		if d == nil || d == old {
			return false
		}
		r.follow(d)
		return true
	})
	if err != nil {
		return err
	}
	return old.Start()
}

// ask takes down whom the Sentinels call the master: they may have chosen another at any time. Most of them must say so:
// one may not have heard of it yet.
func (r *Redis) ask() {
	votes := map[*daemon.Daemon]int{}
	for _, d := range r.sentinels {
		s := sentinelAt(d)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		if named := r.named(ctx, s); named != nil {
			if votes[named]++; votes[named] > len(r.sentinels)/2 {
				r.follow(named)
			}
		}
		cancel()
		s.Close()
	}
}

// named is the server that a Sentinel calls the master; nil where it says nothing of use.
func (r *Redis) named(ctx context.Context, s *redis.SentinelClient) *daemon.Daemon {
	at, err := s.GetMasterAddrByName(ctx, masterName).Result()
	if err != nil || len(at) != 2 {
		return nil
	}
	for _, d := range r.servers {
		if d.Addr == net.JoinHostPort(at[0], at[1]) {
			return d
		}
	}
	return nil
}

func (r *Redis) follow(master *daemon.Daemon) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.master = master
}

func sentinelAt(d *daemon.Daemon) *redis.SentinelClient {
	return redis.NewSentinelClient(&redis.Options{Addr: d.Addr, ReadTimeout: time.Second})
}

// await asks every Sentinel until all of them say so.
func (r *Redis) await(ctx context.Context, claim string, says func(context.Context, *redis.SentinelClient) bool) error {
	ctx, cancel := context.WithTimeout(ctx, daemon.Patience)
	defer cancel()
	for _, d := range r.sentinels {
		s := sentinelAt(d)
		defer s.Close()
		for !says(ctx, s) {
			if !daemon.Pause(ctx) {
				return fmt.Errorf("rig: never: %s:\n%s", claim, d.Said())
			}
		}
	}
	return nil
}

// sentinelURL is the REDIS_URL that names Sentinels.
func sentinelURL(addrs []string) string {
	u := "redis://" + addrs[0] + "?master_name=" + masterName
	for _, a := range addrs[1:] {
		u += "&addr=" + a
	}
	return strings.TrimSuffix(u, "&")
}
