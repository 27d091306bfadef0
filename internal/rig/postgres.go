package rig

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"

	"github.com/fastport/fastport/internal/daemon"
)

// database is the cluster's, in its Postgres.
const database = "fastport"

// Postgres is the cluster's store. It syncs to disk as in production.
type Postgres struct {
	pg      *daemon.Postgres
	proxies bool
}

func startPostgres(c *Cluster) (*Postgres, error) {
	d, err := c.daemon("postgres")
	if err != nil {
		return nil, err
	}
	pg, err := daemon.NewPostgres(d, rand.Text())
	if err != nil {
		return nil, err
	}
	if err := pg.Create(); err != nil {
		return nil, err
	}
	if err := pg.Exec(context.Background(), "CREATE DATABASE "+database+" OWNER "+daemon.Owner); err != nil {
		return nil, fmt.Errorf("rig: create database: %w", err)
	}
	return &Postgres{pg: pg, proxies: c.options.Proxies}, nil
}

// URL is the database's, for the role of the nodes, with its password.
func (p *Postgres) URL() string { return p.pg.DSN(daemon.Owner, database) }

// Addr is its host:port.
func (p *Postgres) Addr() string { return p.pg.Addr }

// Running reports whether it was started and has not ended; a frozen one runs.
func (p *Postgres) Running() bool { return p.pg.Running() }

// LogFile is what it says, of all its runs.
func (p *Postgres) LogFile() string { return p.pg.LogFile() }

// Kill ends all its processes with SIGKILL.
func (p *Postgres) Kill() error { return p.pg.Kill() }

// Freeze stops all its processes with SIGSTOP.
func (p *Postgres) Freeze() error { return p.pg.Freeze() }

// Thaw lets it go on.
func (p *Postgres) Thaw() error { return p.pg.Thaw() }

// Restart stops it in good order if it runs, and starts it.
func (p *Postgres) Restart() error { return p.pg.Restart() }

// urlFor is URL by way of n's Link.
func (p *Postgres) urlFor(n *Node) (string, error) {
	if !p.proxies {
		return p.URL(), nil
	}
	by, err := n.postgres.proxyFor(p.pg.Addr)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(p.URL())
	if err != nil {
		return "", fmt.Errorf("rig: %w", err)
	}
	u.Host = by.addr
	return u.String(), nil
}
