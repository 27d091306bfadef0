package memory

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/backplane"
)

var _ backplane.Backplane = (*Backplane)(nil)

// Backplane is one node's end of a Bus. Nothing in it waits, so contexts are not looked at; after Close every call
// answers backplane.ErrUnavailable.
type Backplane struct {
	bus      *Bus
	id       string
	closed   atomic.Bool
	listener atomic.Pointer[backplane.Receiver]

	mu     sync.Mutex // guards the following
	joined map[backplane.Channel]struct{}
}

// Listen names who receives. Once, before the first Join.
func (n *Backplane) Listen(r backplane.Receiver) { n.listener.Store(&r) }

// receiver is who receives, nil where nobody does (any more).
func (n *Backplane) receiver() backplane.Receiver {
	if r := n.listener.Load(); r != nil && !n.closed.Load() {
		return *r
	}
	return nil
}

// Announce sets c.Issued. done is called once every joined node's Receiver has had c; with more that is by whoever
// announces the next, so that Receivers get both in one call.
func (n *Backplane) Announce(c *backplane.Copy, more bool, done func(error)) {
	n.post(c.Channel, event{kind: copies, copy: c, more: more, done: done})
}

// Settle sends a note behind what was announced before.
func (n *Backplane) Settle(note *backplane.Note, done func(error)) {
	n.post(note.Channel, event{kind: notes, note: note, done: done})
}

// SendHeads sends heads to the nodes joined to their channels.
func (n *Backplane) SendHeads(hs []backplane.Heads) {
	for i := range hs {
		h := hs[i] // the caller may reuse its slice
		n.post(h.Channel, event{kind: heads, head: &h})
	}
}

// Join takes a place in the channel's order: what was announced before it is not received.
func (n *Backplane) Join(ch backplane.Channel, done func(error)) {
	n.mu.Lock()
	n.joined[ch] = struct{}{}
	n.mu.Unlock()
	n.post(ch, event{kind: joins, done: done})
}

// Leave ends a Join.
func (n *Backplane) Leave(ch backplane.Channel) {
	n.mu.Lock()
	delete(n.joined, ch)
	n.mu.Unlock()
	n.post(ch, event{kind: leaves})
}

// Fence calls at in the channel's order; with ErrUnavailable where the channel is not joined.
func (n *Backplane) Fence(ch backplane.Channel, at func(error)) {
	n.post(ch, event{kind: fences, done: at})
}

func (n *Backplane) post(ch backplane.Channel, e event) {
	if n.closed.Load() {
		e.finish(backplane.ErrUnavailable)
		return
	}
	e.node = n
	n.bus.post(ch, e)
}

// Tell calls the other nodes' receivers before it returns.
func (n *Backplane) Tell(_ context.Context, c backplane.Command) error {
	if n.closed.Load() {
		return backplane.ErrUnavailable
	}
	c.Node = n.id
	for _, other := range n.bus.others(n) {
		if r := other.receiver(); r != nil {
			each := c
			r.Command(&each)
		}
	}
	return nil
}

// SetPresence records how many connections this node holds for a user; 0 removes.
func (n *Backplane) SetPresence(_ context.Context, session, user string, connections int) error {
	if n.closed.Load() {
		return backplane.ErrUnavailable
	}
	n.bus.presence.set(n, member{session, user}, connections)
	return nil
}

// Online reports, for each user, whether a living node holds a connection.
func (n *Backplane) Online(_ context.Context, session string, users []string) ([]bool, error) {
	if n.closed.Load() {
		return nil, backplane.ErrUnavailable
	}
	return n.bus.presence.online(session, users, nil), nil
}

// Elsewhere is Online of the other nodes' connections.
func (n *Backplane) Elsewhere(_ context.Context, session string, users []string) ([]bool, error) {
	if n.closed.Load() {
		return nil, backplane.ErrUnavailable
	}
	return n.bus.presence.online(session, users, n), nil
}

// Heartbeat renews this node's lease and publishes its figures.
func (n *Backplane) Heartbeat(_ context.Context, self backplane.Node) error {
	if n.closed.Load() {
		return backplane.ErrUnavailable
	}
	n.bus.presence.renew(n, self)
	return nil
}

// Nodes lists the living nodes by ID.
func (n *Backplane) Nodes(context.Context) ([]backplane.Node, error) {
	if n.closed.Load() {
		return nil, backplane.ErrUnavailable
	}
	return n.bus.presence.living(), nil
}

// Add counts in a window that all nodes of the bus share.
func (n *Backplane) Add(_ context.Context, key string, count int64, window time.Duration) (int64, time.Duration, error) {
	if n.closed.Load() {
		return 0, 0, backplane.ErrUnavailable
	}
	total, left := n.bus.counters.add(key, count, window)
	return total, left, nil
}

// Reset forgets a key.
func (n *Backplane) Reset(_ context.Context, key string) error {
	if n.closed.Load() {
		return backplane.ErrUnavailable
	}
	n.bus.counters.reset(key)
	return nil
}

// Claim makes value the holder of key for ttl, or says who else is.
func (n *Backplane) Claim(_ context.Context, key, value string, ttl time.Duration) (string, error) {
	if n.closed.Load() {
		return "", backplane.ErrUnavailable
	}
	return n.bus.leases.claim(key, value, ttl), nil
}

// Holder is who holds key.
func (n *Backplane) Holder(_ context.Context, key string) (string, error) {
	if n.closed.Load() {
		return "", backplane.ErrUnavailable
	}
	return n.bus.leases.holder(key), nil
}

// Release ends value's hold on key.
func (n *Backplane) Release(_ context.Context, key, value string) error {
	if n.closed.Load() {
		return backplane.ErrUnavailable
	}
	n.bus.leases.release(key, value)
	return nil
}

// Fault is nil: nothing in one process goes deaf.
func (n *Backplane) Fault() error { return nil }

// Close takes the node off the bus. No call to its Receiver begins afterwards; one may be under way.
func (n *Backplane) Close() error {
	if n.closed.Swap(true) {
		return nil
	}
	b := n.bus
	b.mu.Lock()
	delete(b.nodes, n)
	b.mu.Unlock()
	b.presence.remove(n)

	n.mu.Lock()
	joined := n.joined
	n.joined = map[backplane.Channel]struct{}{}
	n.mu.Unlock()
	for ch := range joined {
		b.post(ch, event{kind: leaves, node: n})
	}
	return nil
}
