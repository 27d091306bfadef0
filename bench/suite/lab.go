package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/fastport/fastport/internal/daemon"
)

// lab is where servers are built and run. Everything in it ends with this process.
type lab struct {
	root, dir string // the repository; a temporary folder
	keeper    *daemon.Keeper
	started   int
	broken    map[string]error          // programs that could not be built
	collect   map[*daemon.Daemon]string // where one has its garbage collected

	// Started when the first server needs them, and kept.
	pg     *daemon.Postgres
	redis  *daemon.Daemon
	shards []*daemon.Daemon // a Redis Cluster
}

func newLab(root string) (*lab, error) {
	dir, err := os.MkdirTemp("", "fastport-bench-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // Postgres and Mosquitto leave root
		return nil, err
	}
	keeper, err := daemon.Keep(dir)
	return &lab{root: root, dir: dir, keeper: keeper, broken: map[string]error{}, collect: map[*daemon.Daemon]string{}}, err
}

// target is a program to build: a Go package, and the folder of its module below the repository's.
type target struct{ in, out, pkg string }

// programs are what is measured and what measures it.
func programs() []target {
	return []target{
		{"", "fastport", "./cmd/fastport"}, {"bench", "generator", "."}, {"bench", "relay", "./servers/relay"},
		{"bench", "centrifuge", "./servers/centrifuge"}, {"bench", "nats-server", "github.com/nats-io/nats-server/v2"},
	}
}

// build compiles the programs. One that cannot be built fails where it is to be started: the others are measured all the same.
func (l *lab) build(ctx context.Context, list []target) error {
	for _, b := range list {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(l.dir, b.out), b.pkg)
		cmd.Dir = filepath.Join(l.root, b.in)
		if said, err := cmd.CombinedOutput(); err != nil {
			l.broken[b.out] = fmt.Errorf("build %s: %w: %s", b.out, err, bytes.TrimSpace(said))
			fmt.Fprintln(os.Stderr, "suite:", l.broken[b.out])
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return l.broken["generator"] // without it there is nothing to do
}

// daemon is a place for one more process.
func (l *lab) daemon(name string) (*daemon.Daemon, error) {
	l.started++
	d := &daemon.Daemon{Name: name, Dir: filepath.Join(l.dir, fmt.Sprintf("%s-%d", name, l.started)), Keeper: l.keeper}
	if err := os.Mkdir(d.Dir, 0o777); err != nil {
		return nil, err
	}
	if err := os.Chmod(d.Dir, 0o777); err != nil {
		return nil, err
	}
	var err error
	d.Addr, err = daemon.FreeAddr()
	d.Ready = func(ctx context.Context) error { return daemon.Answers(ctx, d.Addr) }
	return d, err
}

// program is a daemon of one of the lab's own binaries.
func (l *lab) program(name string, args func(addr, dir string) []string, env ...string) (*daemon.Daemon, error) {
	if err := l.broken[name]; err != nil {
		return nil, err
	}
	d, err := l.daemon(name)
	if err != nil {
		return nil, err
	}
	d.Command = func() *exec.Cmd {
		cmd := exec.Command(filepath.Join(l.dir, name), args(d.Addr, d.Dir)...)
		cmd.Dir, cmd.Env = d.Dir, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.Dir}, env...)
		return cmd
	}
	return d, nil
}

// database is the URL of a new database of the lab's Postgres.
func (l *lab) database() (string, error) {
	if l.pg == nil {
		d, err := l.daemon("postgres")
		if err != nil {
			return "", err
		}
		pg, err := daemon.NewPostgres(d, rand.Text())
		if err != nil {
			return "", err
		}
		if err := pg.Create(); err != nil {
			return "", err
		}
		l.pg = pg
	}
	l.started++
	name := fmt.Sprintf("bench_%d", l.started)
	return l.pg.DSN(daemon.Owner, name), l.pg.Exec(context.Background(), "CREATE DATABASE "+name+" OWNER "+daemon.Owner)
}

func (l *lab) redisURL() (string, error) {
	if l.redis == nil {
		d, err := l.startRedis()
		if err != nil {
			return "", err
		}
		l.redis = d
	}
	return "redis://" + l.redis.Addr, nil
}

func (l *lab) startRedis(args ...string) (*daemon.Daemon, error) {
	d, err := l.daemon("redis")
	if err != nil {
		return nil, err
	}
	if err := daemon.Redis(d, args...); err != nil {
		return nil, err
	}
	return d, d.Start()
}

// redisCluster is the URLs of a Redis Cluster of three masters.
func (l *lab) redisCluster() (string, error) {
	const masters = 3
	for len(l.shards) < masters {
		bus, err := daemon.FreeAddr()
		if err != nil {
			return "", err
		}
		d, err := l.startRedis("--cluster-enabled", "yes", "--cluster-port", bus[strings.LastIndexByte(bus, ':')+1:], "--cluster-config-file", "nodes.conf")
		if err != nil {
			return "", err
		}
		if l.shards = append(l.shards, d); len(l.shards) < masters {
			continue
		}
		args := []string{"--cluster", "create"}
		for _, s := range l.shards {
			args = append(args, s.Addr)
		}
		if said, err := exec.Command("redis-cli", append(args, "--cluster-yes")...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("redis-cli --cluster create: %w: %s", err, said)
		}
		time.Sleep(3 * time.Second) // until each of them knows that the cluster is whole
	}
	var urls []string
	for _, s := range l.shards {
		urls = append(urls, "redis://"+s.Addr)
	}
	return strings.Join(urls, ","), nil
}

// stores are the processes behind servers, whose CPU is told for itself.
func (l *lab) stores() (pids []int) {
	if l.pg != nil {
		pids = append(pids, l.pg.PID())
	}
	if l.redis != nil {
		pids = append(pids, l.redis.PID())
	}
	for _, s := range l.shards {
		pids = append(pids, s.PID())
	}
	return pids
}

func key() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}
