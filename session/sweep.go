package session

import (
	"context"
	"log/slog"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

const (
	sweepTimeout = 10 * time.Second
	sweepBites   = 16          // at most, one after the other
	seenEvery    = time.Minute // attached subscriptions are renewed
	reapEvery    = int64(time.Second)
)

// sweep keeps retention's promise, renews what is attached and forgets what is idle, until ctx is done.
func (n *Node) sweep(ctx context.Context) {
	tick := time.NewTicker(n.cfg.SweepEvery)
	defer tick.Stop()
	renewed, reaped := time.Now(), n.clock()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for range sweepBites {
			if !n.sweepOnce(ctx) {
				break
			}
		}
		if time.Since(renewed) >= seenEvery {
			renewed = time.Now()
			n.renew(ctx)
		}
		if now := n.clock(); now-reaped >= reapEvery {
			reaped = now
			n.reap(now)
			n.traces.tidy(time.Now())
		}
	}
}

// sweepOnce takes one bite. It reports whether there is more.
func (n *Node) sweepOnce(ctx context.Context) (more bool) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	swept, err := n.store.Sweep(ctx)
	if err != nil {
		if ctx.Err() == nil {
			n.log.Warn("sweep failed, will be repeated", slog.Any("error", err))
		}
		return false
	}
	n.figures.swept.Add(int64(swept.Settled + swept.Expired))
	for _, s := range swept.Sessions {
		n.catalog.Forget(s.Name)
		n.CloseSession(s.ID, protocol.CloseSessionGone, string(protocol.SessionExpired))
		if err := n.bus.Tell(ctx, backplane.Command{Kind: backplane.SessionDropped, Session: s.ID, Name: s.Name, Node: n.cfg.NodeID}); err != nil {
			n.log.Warn("other nodes were not told of an expired session", slog.Any("error", err))
		}
	}
	return swept.More
}

// renew tells the store who is attached, so that no subscription of theirs expires.
func (n *Node) renew(ctx context.Context) {
	for _, t := range n.allTenants() {
		var keys []storage.Subscriber
		t.mu.RLock()
		for key, s := range t.subscribers {
			if len(s.conns) > 0 {
				keys = append(keys, key)
			}
		}
		t.mu.RUnlock()
		if len(keys) == 0 {
			continue
		}
		call, cancel := context.WithTimeout(ctx, settleTimeout)
		err := n.store.Seen(call, t.id, keys)
		cancel()
		if err != nil && ctx.Err() == nil {
			n.log.Warn("attached subscriptions were not renewed", slog.Any("error", err))
		}
	}
}

// reap forgets idle topics and tenants.
func (n *Node) reap(now int64) {
	for _, t := range n.allTenants() {
		if !t.reap(now) {
			continue
		}
		n.mu.Lock()
		t.mu.Lock()
		if len(t.conns)+len(t.topics)+len(t.subscribers) == 0 && now-t.used.Load() > idleAfter && n.tenants[t.id] == t {
			t.gone = true
			delete(n.tenants, t.id)
		}
		t.mu.Unlock()
		n.mu.Unlock()
	}
}
