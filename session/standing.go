package session

import (
	"context"
	"log/slog"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/storage"
)

const (
	standingEvery = 2 * time.Second
	standingBatch = 500 // sessions in one read
)

// standing asks the store every two seconds what has become of the sessions that are connected here, until ctx is
// done: the word of the node through which one was dropped or suspended may have been lost. The reads of a round are
// spread over it.
func (n *Node) standing(ctx context.Context) {
	tick := time.NewTicker(standingEvery)
	defer tick.Stop()
	var list []*tenant
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if len(list) == 0 {
			list = n.connectedTenants()
			reads := (len(list) + standingBatch - 1) / standingBatch
			tick.Reset(standingEvery / time.Duration(max(reads, 1)))
		}
		part := list[:min(len(list), standingBatch)]
		list = list[len(part):]
		n.compare(ctx, part)
	}
}

// connectedTenants lists the sessions that have connections here.
func (n *Node) connectedTenants() []*tenant {
	list := n.allTenants()
	kept := list[:0]
	for _, t := range list {
		t.mu.RLock()
		if len(t.conns) > 0 {
			kept = append(kept, t)
		}
		t.mu.RUnlock()
	}
	return kept
}

// compare holds sessions against the store, and does what a lost word would have had done.
func (n *Node) compare(ctx context.Context, list []*tenant) {
	if len(list) == 0 {
		return
	}
	ids := make([]string, len(list))
	for i, t := range list {
		ids[i] = t.id
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	states, err := n.store.States(ctx, ids)
	if err != nil {
		if ctx.Err() == nil {
			n.log.Warn("what has become of sessions is not known, will be repeated", slog.Any("error", err))
		}
		return
	}
	for i, t := range list {
		if kind := t.missed(states[i]); kind != 0 {
			n.Command(&backplane.Command{Kind: kind, Session: t.id, Name: t.name, Node: n.cfg.NodeID})
		}
	}
}

// missed is the word that did not get here, 0 for none. A state that is older than what is known tells nothing.
func (t *tenant) missed(s storage.State) backplane.CommandKind {
	known := t.version.Load()
	switch {
	case s.Version == 0:
		return backplane.SessionDropped
	case s.Version < known:
		return 0
	case s.Suspended:
		return backplane.SessionSuspended
	case s.Version > known:
		t.version.CompareAndSwap(known, s.Version)
		return backplane.SessionChanged
	}
	return 0
}
