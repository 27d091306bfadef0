package session

import (
	"context"
	"time"

	"github.com/fastport/fastport/backplane"
)

const (
	clockEvery  = 10 * time.Second // the store's clock is measured
	leaseChecks = 3 * time.Second  // heartbeats
)

// check looks for publishes that have waited too long, until ctx is done.
func (n *Node) check(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := n.clock()
		for _, k := range n.committers {
			k.check(now)
		}
	}
}

// live renews the node's lease and measures the store's clock until ctx is done. Both may take a second, and nobody
// waits for them.
func (n *Node) live(ctx context.Context) {
	n.heartbeat(ctx)
	n.measure(ctx)
	clock := time.NewTicker(clockEvery)
	defer clock.Stop()
	lease := time.NewTicker(leaseChecks)
	defer lease.Stop()
	for {
		select {
		case <-clock.C:
			n.measure(ctx)
		case <-lease.C:
			n.heartbeat(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// self is what the node says of itself.
func (n *Node) self() backplane.Node {
	return backplane.Node{ID: n.cfg.NodeID, Started: n.started, Address: n.cfg.Address}
}

// heartbeat renews this node's lease and looks who else is there. When a node is gone, its last notes may be.
func (n *Node) heartbeat(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	self := n.self()
	if n.cfg.Describe != nil {
		n.cfg.Describe(&self)
	}
	begun := n.clock()
	if n.bus.Heartbeat(ctx, self) != nil {
		return
	}
	if was := n.beaten.Swap(begun); was != 0 && n.clock()-was >= int64(backplane.Lease) {
		n.log.Warn("this node's lease had ended: what it serves may be served elsewhere")
		n.review()
		n.heads.soon()
	}
	others, err := n.others(ctx)
	if err != nil {
		return
	}
	if now := int64(len(others)); now < n.peers.Swap(now) {
		n.heads.soon()
	}
}

// leased reports whether the others count this node among the living. A node that hung finds here that it did before
// it has sent anything: clients that moved away meanwhile have sent again, elsewhere, what is still in its sockets.
func (n *Node) leased(now int64) bool {
	beaten := n.beaten.Load()
	return beaten != 0 && now-beaten < int64(backplane.Lease)
}

// review reads the rows of all that this node serves: a client may have been taken over, a topic left, through a node
// whose word did not get here. The cursors do it, with or without something to settle.
func (n *Node) review() {
	for _, t := range n.allTenants() {
		for _, s := range t.connected() {
			t.look(s)
		}
	}
	n.cursors.soon()
}
