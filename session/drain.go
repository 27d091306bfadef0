package session

import (
	"context"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/storage"
)

// drain is a wait for publishes that are under way.
type drain struct {
	left map[*publish]struct{}
	done chan struct{}
}

// A new subscription is positioned behind what is committed, and must not be confirmed before that is acked: who was
// confirmed before an ack gets the message. So it waits for every publish on the topic that is under way, here and on
// the other nodes.

// drainAll is drain on all nodes. It waits for another one no longer than a take-over does.
func (n *Node) drainAll(ctx context.Context, t *topic, row storage.Subscription) {
	ctx, cancel := context.WithTimeout(ctx, fencePatience)
	defer cancel()
	var others func() bool
	// A row that was there before is positioned where it was.
	if fresh := row.Attach == 1 && row.Settled.Covers(1, row.Head); fresh && row.Head > 0 && n.peers.Load() > 0 {
		if ids, err := n.others(ctx); err == nil {
			others = n.ask(ctx, backplane.Command{Kind: backplane.Drain, Session: t.tenant.id, Name: t.tenant.name, Body: t.name}, ids)
		}
	}
	t.drain(ctx)
	if others != nil {
		others()
	}
}

// drained answers another node's Drain.
func (n *Node) drained(ctx context.Context, cmd *backplane.Command) {
	ctx, cancel := context.WithTimeout(ctx, takeOverPatience)
	defer cancel()
	if t := n.topicOf(cmd.Session, cmd.Body); t != nil {
		t.drain(ctx)
	}
	n.bus.Tell(ctx, backplane.Command{Kind: backplane.Released, Session: cmd.Session, Name: cmd.Name, Node: n.cfg.NodeID, Token: cmd.Token})
}

// drain waits until every publish that is under way now has been answered.
func (t *topic) drain(ctx context.Context) {
	t.publishing.Lock()
	if len(t.pending) == 0 {
		t.publishing.Unlock()
		return
	}
	d := &drain{left: make(map[*publish]struct{}, len(t.pending)), done: make(chan struct{})}
	for _, p := range t.pending {
		d.left[p] = struct{}{}
	}
	t.drains = append(t.drains, d)
	t.publishing.Unlock()
	select {
	case <-d.done:
	case <-ctx.Done():
	}
}
