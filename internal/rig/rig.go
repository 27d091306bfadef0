package rig

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/fastport/fastport/internal/daemon"
)

// Options say what to start.
type Options struct {
	Nodes    int       // 3 where it is 0
	Binary   string    // the fastport to run; "": this program
	Dir      string    // where the log files go and stay; "": they go with the Cluster
	Sentinel bool      // Redis is a master, a replica and three Sentinels
	Proxies  bool      // every node reaches Redis and Postgres through Links
	Nginx    bool      // a load balancer is in front
	Port     int       // nginx listens there; 0: any free port
	Env      []string  // more settings for every node, "NAME=value"
	Log      io.Writer // what is being started, a line each; nil: nobody is told
}

// AdminUser is the operator's login of every Cluster.
const AdminUser = "admin"

// Cluster is what Start has started.
type Cluster struct {
	Nodes    []*Node
	Redis    *Redis
	Postgres *Postgres
	Nginx    *Nginx // nil without Options.Nginx

	AdminPass string
	MasterKey string

	options Options
	dir     string
	keeper  *daemon.Keeper

	mu    sync.Mutex // guards the following
	parts []*daemon.Daemon
}

// Start starts a cluster and returns once every part of it serves. On an error nothing is left running. It ends with
// Close, or with this process.
func Start(ctx context.Context, o Options) (_ *Cluster, err error) {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Binary == "" {
		if o.Binary, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("rig: %w", err)
		}
	}
	key := make([]byte, 32)
	rand.Read(key)
	c := &Cluster{options: o, AdminPass: rand.Text(), MasterKey: base64.StdEncoding.EncodeToString(key)}
	if c.dir, err = os.MkdirTemp("", "fastport-cluster-"); err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	if err = os.Chmod(c.dir, 0o711); err != nil { // Postgres goes through it, as another user perhaps
		return nil, fmt.Errorf("rig: %w", err)
	}
	if c.keeper, err = daemon.Keep(c.dir); err != nil {
		os.RemoveAll(c.dir)
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()

	fmt.Fprintln(o.Log, "starting Postgres and Redis")
	var servers errgroup.Group
	servers.Go(func() (err error) { c.Postgres, err = startPostgres(c); return err })
	servers.Go(func() (err error) { c.Redis, err = startRedis(ctx, c); return err })
	if err = servers.Wait(); err != nil {
		return nil, err
	}
	for i := range o.Nodes {
		n, err := newNode(c, fmt.Sprintf("node-%d", i+1))
		if n != nil {
			c.Nodes = append(c.Nodes, n)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, n := range c.Nodes { // one by one: the first makes the tables
		if err = ctx.Err(); err != nil {
			return nil, err
		}
		fmt.Fprintln(o.Log, "starting", n.Name())
		if err = n.Start(); err != nil {
			return nil, err
		}
	}
	if o.Nginx {
		fmt.Fprintln(o.Log, "starting nginx")
		if c.Nginx, err = startNginx(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Node is the i-th node, from 0.
func (c *Cluster) Node(i int) *Node { return c.Nodes[i] }

// Close ends everything at once, waits for it, and removes its folder. Idempotent.
func (c *Cluster) Close() error {
	for _, n := range c.Nodes {
		n.redis.close()
		n.postgres.close()
	}
	err := c.keeper.Release()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.parts {
		d.Wait()
	}
	return err
}

// daemon is a new part of the cluster, with a folder and an address of its own.
func (c *Cluster) daemon(name string) (*daemon.Daemon, error) {
	addr, err := daemon.FreeAddr()
	if err != nil {
		return nil, err
	}
	d := &daemon.Daemon{Name: name, Dir: filepath.Join(c.dir, name), Addr: addr, Keeper: c.keeper}
	if err := os.Mkdir(d.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("rig: %w", err)
	}
	if c.options.Dir != "" {
		if d.Log, err = filepath.Abs(filepath.Join(c.options.Dir, name+".log")); err != nil {
			return nil, fmt.Errorf("rig: %w", err)
		}
		if err := os.MkdirAll(c.options.Dir, 0o755); err != nil {
			return nil, fmt.Errorf("rig: %w", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parts = append(c.parts, d)
	return d, nil
}
