package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/fastport/fastport/internal/daemon"
)

// server is one way to run something that is measured.
type server struct {
	name  string
	peer  string   // the generator's -peer
	flags []string // further ones of the generator's, for every scenario
	start func(l *lab) ([]*daemon.Daemon, error)
	redis bool // the lab's one Redis is between its nodes
}

// servers is the table of all there are.
func servers() []server {
	v2 := []string{"-v2"}
	list := []server{
		{"relay", "relay", nil, one("relay", "-addr"), false},
		{"fastport", "fastport", v2, fastportOnSQLite, false},
		{"fastport-qos0", "fastport", []string{"-v2", "-qos", "0"}, fastportOnSQLite, false},
		{"mosquitto", "mqtt0", nil, mosquitto, false},
		{"mosquitto-qos1", "mqtt1", nil, mosquitto, false},
		{"nats", "nats", nil, nats(1, ""), false},
		{"jetstream", "natsjs", nil, nats(1, "2m"), false},
		{"jetstream-fsync", "natsjs", nil, nats(1, "always"), false},
		{"nats-2", "nats", nil, nats(2, ""), false},
		{"nats-2-share", "nats", nil, nats(2, "", share(2)), false},
		{"centrifuge", "centrifuge", nil, centrifuge(), false},
		{"centrifuge-1ms", "centrifuge", nil, centrifuge("-write-delay=1ms"), false},
		{"centrifuge-2", "centrifuge", nil, centrifugePair, false},
		{"socketio", "socketio", nil, socketio, false},
		{"fastport-2-share", "fastport", v2, fastportNodes(2, false, share(2)), true},
	}
	for _, n := range []int{1, 2, 3, 4, 8} {
		list = append(list, server{fmt.Sprintf("fastport-%d", n), "fastport", v2, fastportNodes(n, false), true})
		list = append(list, server{fmt.Sprintf("fastport-%d-shards", n), "fastport", v2, fastportNodes(n, true), false})
	}
	return list
}

// share has a Go process take its part of the cores for all there are, as a container's limit would: left alone, each of a
// machine's n nodes counts all of them as its own.
func share(n int) string { return fmt.Sprintf("GOMAXPROCS=%d", max(1, runtime.NumCPU()/n)) }

func serverNamed(name string) (server, error) {
	for _, s := range servers() {
		if s.name == name {
			return s, nil
		}
	}
	return server{}, fmt.Errorf("there is no server %q", name)
}

// one is a single process of the lab's that is told its address behind the last of args.
func one(name string, args ...string) func(*lab) ([]*daemon.Daemon, error) {
	return func(l *lab) ([]*daemon.Daemon, error) {
		d, err := l.program(name, func(addr, _ string) []string { return append(args[:len(args):len(args)], addr) })
		return []*daemon.Daemon{d}, err
	}
}

// collected notes where a Go server with pprof has a collection made, which its runtime makes by itself within minutes of rest.
func (l *lab) collected(d *daemon.Daemon, addr string) {
	l.collect[d] = "http://" + addr + "/debug/pprof/heap?gc=1"
}

func centrifuge(args ...string) func(*lab) ([]*daemon.Daemon, error) {
	start := one("centrifuge", append(args, "-addr")...)
	return func(l *lab) ([]*daemon.Daemon, error) {
		list, err := start(l)
		if err == nil {
			l.collected(list[0], list[0].Addr)
		}
		return list, err
	}
}

func centrifugePair(l *lab) (pair []*daemon.Daemon, err error) {
	url, err := l.redisURL()
	if err != nil {
		return nil, err
	}
	for range 2 {
		d, err := l.program("centrifuge", func(addr, _ string) []string { return []string{"-redis", url, "-addr", addr} })
		if err != nil {
			return nil, err
		}
		pair = append(pair, d)
	}
	return pair, nil
}

// serve is a fastport, without limits on how fast clients of one address come.
func (l *lab) serve(env ...string) (*daemon.Daemon, error) {
	addr, err := daemon.FreeAddr()
	if err != nil {
		return nil, err
	}
	ops, err := daemon.FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	_, opsPort, _ := net.SplitHostPort(ops)
	d, err := l.program("fastport", func(string, string) []string { return []string{"serve"} },
		append(env, "HOST=127.0.0.1", "PORT="+port, "METRICS_PORT="+opsPort, "CONNECTION_RATE_LIMIT=0", "API_RATE_LIMIT=100000", "LOG_LEVEL=error")...)
	if err == nil {
		d.Addr, d.Quit = addr, syscall.SIGTERM
		l.collected(d, ops)
	}
	return d, err
}

func fastportOnSQLite(l *lab) ([]*daemon.Daemon, error) {
	d, err := l.serve("DB_TYPE=sqlite")
	return []*daemon.Daemon{d}, err
}

// fastportNodes is a cluster on a Postgres that syncs, and on one Redis or a Redis Cluster.
func fastportNodes(n int, sharded bool, env ...string) func(*lab) ([]*daemon.Daemon, error) {
	return func(l *lab) (nodes []*daemon.Daemon, err error) {
		database, err := l.database()
		if err != nil {
			return nil, err
		}
		name, find := "REDIS_URL=", l.redisURL
		if sharded {
			name, find = "REDIS_URLS=", l.redisCluster
		}
		redis, err := find()
		if err != nil {
			return nil, err
		}
		master := key()
		for i := range n {
			d, err := l.serve(append(env[:len(env):len(env)], "DB_TYPE=postgres", "DATABASE_URL="+database, name+redis, "MASTER_KEY="+master, fmt.Sprintf("NODE_ID=node-%d", i+1))...)
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, d)
		}
		return nodes, nil
	}
}

func mosquitto(l *lab) ([]*daemon.Daemon, error) {
	path, err := daemon.Program("mosquitto", "mosquitto", "/usr/sbin")
	if err != nil {
		return nil, err
	}
	d, err := l.daemon("mosquitto")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(d.Addr)
	plain, err := daemon.FreeAddr()
	if err != nil {
		return nil, err
	}
	_, unused, _ := net.SplitHostPort(plain)
	// With websockets alone it says that it could start no listener, and ends. Its own bounds of 20 in flight and 1,000 waiting are below what the scenarios have under way.
	settings := "listener " + unused + " 127.0.0.1\nlistener " + port + " 127.0.0.1\nprotocol websockets\nallow_anonymous true\npersistence false\nlog_type error\n" +
		"max_inflight_messages 1000\nmax_queued_messages 100000\nset_tcp_nodelay true\n"
	file := filepath.Join(d.Dir, "mosquitto.conf")
	d.Command = func() *exec.Cmd { return exec.Command(path, "-c", file) }
	return []*daemon.Daemon{d}, os.WriteFile(file, []byte(settings), 0o644)
}

func socketio(l *lab) ([]*daemon.Daemon, error) {
	node, err := daemon.Program("node", "nodejs")
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(l.root, "bench/servers/socketio")
	if _, err := os.Stat(filepath.Join(folder, "node_modules/socket.io")); err != nil {
		cmd := exec.Command("npm", "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund")
		cmd.Dir, cmd.Stderr = folder, os.Stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("npm ci in bench/servers/socketio: %w", err)
		}
	}
	d, err := l.daemon("socketio")
	if err != nil {
		return nil, err
	}
	d.Command = func() *exec.Cmd { return exec.Command(node, filepath.Join(folder, "server.js"), d.Addr) }
	return []*daemon.Daemon{d}, nil
}

// nats is n servers of one cluster; sync is JetStream's sync_interval, "" without JetStream.
func nats(n int, sync string, env ...string) func(*lab) ([]*daemon.Daemon, error) {
	return func(l *lab) (nodes []*daemon.Daemon, err error) {
		var routes []string
		for range n {
			addr, err := daemon.FreeAddr()
			if err != nil {
				return nil, err
			}
			routes = append(routes, addr)
		}
		for i := range n {
			tcp, err := daemon.FreeAddr()
			if err != nil {
				return nil, err
			}
			d, err := l.program("nats-server", func(_, dir string) []string { return []string{"-c", filepath.Join(dir, "nats.conf")} }, env...)
			if err != nil {
				return nil, err
			}
			prof, err := daemon.FreeAddr()
			if err != nil {
				return nil, err
			}
			l.collected(d, prof)
			_, profPort, _ := net.SplitHostPort(prof)
			text := fmt.Sprintf("server_name: n%d\nlisten: %q\nprof_port: %s\nwrite_deadline: 30s\nwebsocket { listen: %q, no_tls: true }\n", i, tcp, profPort, d.Addr)
			if sync != "" {
				text += fmt.Sprintf("jetstream { store_dir: %q, sync_interval: %s }\n", filepath.Join(d.Dir, "js"), sync)
			}
			if n > 1 {
				text += fmt.Sprintf("cluster { name: bench, listen: %q, routes: [ %s ] }\n", routes[i], "\"nats://"+strings.Join(routes, "\", \"nats://")+"\"")
			}
			if err := os.WriteFile(filepath.Join(d.Dir, "nats.conf"), []byte(text), 0o644); err != nil {
				return nil, err
			}
			nodes = append(nodes, d)
		}
		return nodes, nil
	}
}

// meet is how long the nodes of a cluster take at most until they know each other: fastport's heartbeats are the slowest.
const meet = 4 * time.Second
