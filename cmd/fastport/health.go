package main

import (
	"context"
	"sync"
	"time"

	"github.com/fastport/fastport/api"
	"github.com/fastport/fastport/storage"
)

const (
	probeTimeout = time.Second
	probeEvery   = time.Second // the public port is asked by anyone: the store is not, each time
)

// storeProbe remembers how the store last did.
type storeProbe struct {
	mu sync.Mutex // guards the following, and lets one ask for all
	at time.Time
	ok bool
}

// up reports whether the store answers.
func (p *storeProbe) up(s storage.Store) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) >= probeEvery {
		ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
		defer cancel()
		_, err := s.Now(ctx)
		p.at, p.ok = time.Now(), err == nil
	}
	return p.ok
}

// health tells how the node does. A store that is down is no fault of this node alone: taking it out of service would
// help nobody.
func (n *Node) health() api.Health {
	var h api.Health
	if n.draining.Load() {
		h.Faults = append(h.Faults, "draining")
		return h // the store may be closed by now
	}
	if disk, ok := n.store.(storage.Disk); ok && disk.Full() {
		h.Faults = append(h.Faults, "disk full")
	}
	if !n.probe.up(n.store) {
		h.Degraded = append(h.Degraded, "store")
	}
	return h
}
