package main

import (
	"context"
	"errors"
	"time"
)

// flushTime is what a drain leaves for the store, after the last socket.
const flushTime = time.Second

// minMoving is what DRAIN_DELAY leaves of a drain for the clients to move.
const minMoving = 5 * time.Second

// firstWord is how long a node is given to tell the others that it has started.
const firstWord = 2 * time.Second

// Drain ends the node in good order, before ctx does: it turns unready, goes on for DRAIN_DELAY, has its clients move to
// other nodes one by one, settles what they acked, and closes the store. Where ctx is cancelled it hurries.
func (n *Node) Drain(ctx context.Context) error {
	n.draining.Store(true)
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-flushTime))
		defer cancel()
	}
	elsewhere := n.hasPeers(ctx)
	if elsewhere {
		// A client that is told to move, or that comes from elsewhere, must not be sent here again by a balancer that has
		// yet to see that this node is not ready.
		t := time.NewTimer(n.config.DrainDelay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	n.endStreams() // the portal goes on through another node
	return errors.Join(n.server.Drain(ctx, elsewhere), n.Close())
}

// endStreams ends what operators look at through this node.
func (n *Node) endStreams() {
	if o := n.operator.Load(); o != nil {
		o.Close()
	}
}

// hasPeers reports whether other nodes can take this one's clients. Where nobody can say, they are taken to be there. One
// that has just started may be yet to say so: in a rolling restart that is the very one.
func (n *Node) hasPeers(ctx context.Context) bool {
	look := time.NewTicker(firstWord / 10)
	defer look.Stop()
	for until := time.Now().Add(firstWord); ; {
		ask, cancel := context.WithTimeout(ctx, firstWord)
		nodes, err := n.plane.Nodes(ask)
		cancel()
		switch {
		case err != nil || len(nodes) > 1:
			return true
		case !n.config.Cluster() || time.Now().After(until):
			return false
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return false
		}
	}
}
