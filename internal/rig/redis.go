package rig

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"sync"

	"github.com/fastport/fastport/internal/daemon"
)

// Redis is what the nodes share while they live: one server, or with Options.Sentinel a master and a replica that three
// Sentinels watch. It keeps nothing on disk.
type Redis struct {
	servers   []*daemon.Daemon // the first is the master at the start
	sentinels []*daemon.Daemon // none without Options.Sentinel
	proxies   bool

	op     sync.Mutex     // held by a fault and by its end
	hurt   *daemon.Daemon // who was killed or frozen last
	mu     sync.Mutex     // guards the following
	master *daemon.Daemon // whom the others follow when they start
}

func startRedis(ctx context.Context, c *Cluster) (*Redis, error) {
	r := &Redis{proxies: c.options.Proxies}
	names := []string{"redis"}
	if c.options.Sentinel {
		names = []string{"redis-1", "redis-2"}
	}
	for _, name := range names {
		d, err := c.daemon(name)
		if err != nil {
			return nil, err
		}
		if err := r.add(d); err != nil {
			return nil, err
		}
		if err := d.Start(); err != nil {
			return nil, err
		}
	}
	if !c.options.Sentinel {
		return r, nil
	}
	return r, r.startSentinels(ctx, c)
}

// add makes a server of d: the first is the master, the others follow whoever is it when they start.
func (r *Redis) add(d *daemon.Daemon) error {
	if err := daemon.Redis(d, "--repl-diskless-sync-delay", "0"); err != nil {
		return err
	}
	if r.master == nil {
		r.master = d
	}
	r.servers = append(r.servers, d)
	alone := d.Command
	d.Command = func() *exec.Cmd {
		cmd := alone()
		if master := r.current(); master != d {
			_, port, _ := net.SplitHostPort(master.Addr)
			cmd.Args = append(cmd.Args, "--replicaof", "127.0.0.1", port)
		}
		return cmd
	}
	return nil
}

// Addr is the master's host:port, as Sentinels say where there are any.
func (r *Redis) Addr() string {
	r.ask()
	return r.current().Addr
}

// URL is how the nodes find it without a Link: its REDIS_URL.
func (r *Redis) URL() string {
	if len(r.sentinels) == 0 {
		return "redis://" + r.Addr()
	}
	return sentinelURL(addrs(r.sentinels))
}

// LogFile is what the master says.
func (r *Redis) LogFile() string { return r.current().LogFile() }

// Running reports whether the master runs; a frozen one does.
func (r *Redis) Running() bool { return r.current().Running() }

// Kill ends the master with SIGKILL.
func (r *Redis) Kill() error { return r.harm((*daemon.Daemon).Kill) }

// Freeze stops the master with SIGSTOP. Sentinels find that out within two seconds and choose another; Thaw makes a
// replica of it then.
func (r *Redis) Freeze() error { return r.harm((*daemon.Daemon).Freeze) }

// Thaw lets the frozen server go on.
func (r *Redis) Thaw() error {
	r.op.Lock()
	defer r.op.Unlock()
	if r.hurt == nil {
		return nil
	}
	return r.hurt.Thaw()
}

// Restart brings a killed server back, or kills the master and brings it back at once; empty, both ways. Where Sentinels
// have chosen another meanwhile, it comes back as that one's replica.
func (r *Redis) Restart() error {
	r.op.Lock()
	defer r.op.Unlock()
	r.ask()
	d := r.current()
	if r.hurt != nil && !r.hurt.Running() {
		d = r.hurt
	}
	if d.Running() {
		if err := d.Kill(); err != nil {
			return err
		}
	}
	return d.Start()
}

func (r *Redis) harm(how func(*daemon.Daemon) error) error {
	r.op.Lock()
	defer r.op.Unlock()
	r.ask()
	r.hurt = r.current()
	return how(r.hurt)
}

// current is who was the master when Sentinels were asked last.
func (r *Redis) current() *daemon.Daemon {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.master
}

// urlFor is URL by way of n's Link.
func (r *Redis) urlFor(n *Node) (string, error) {
	if !r.proxies {
		return r.URL(), nil
	}
	rewritten := ports{}
	var sentinels []string
	var tellers []*proxy
	for _, d := range slices.Concat(r.servers, r.sentinels) {
		p, err := n.redis.proxyFor(d.Addr)
		if err != nil {
			return "", err
		}
		_, from, _ := net.SplitHostPort(d.Addr)
		_, to, _ := net.SplitHostPort(p.addr)
		rewritten[from] = to
		if slices.Contains(r.sentinels, d) {
			tellers, sentinels = append(tellers, p), append(sentinels, p.addr)
		}
	}
	for _, p := range tellers {
		p.rewrite(rewritten)
	}
	if len(sentinels) == 0 {
		return "redis://" + n.redis.proxies[0].addr, nil
	}
	return sentinelURL(sentinels), nil
}

func addrs(of []*daemon.Daemon) (list []string) {
	for _, d := range of {
		list = append(list, d.Addr)
	}
	return list
}

// errNoSentinel is what a failover says where nobody could choose.
var errNoSentinel = fmt.Errorf("rig: a failover needs Options.Sentinel")
