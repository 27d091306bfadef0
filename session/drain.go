package session

import "context"

// drain is a wait for publishes that are under way.
type drain struct {
	left map[*publish]struct{}
	done chan struct{}
}

// drain waits until every publish that is under way now has been answered. A new subscription is positioned behind
// what is committed, and must not be confirmed before that is acked: who was confirmed before an ack gets the message.
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
