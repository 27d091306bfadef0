// Package memory is a backplane inside one process: the whole of it for a broker on one node, and a cluster of many
// nodes for tests.
//
// Nodes of one [Bus] see each other. A channel is a queue: whoever finds it idle delivers what is in it, in its own
// goroutine, until it is empty; whoever finds it being delivered only adds to it. So there is one order for every
// node, a Receiver may call back into the backplane, and nothing runs when nothing happens: there are no goroutines.
// Time is read from time.Now alone, so it all works inside testing/synctest.
package memory

import (
	"sync"
	"time"

	"github.com/fastport/fastport/backplane"
)

// Bus joins the nodes of one process. The zero value is not usable: see [NewBus].
type Bus struct {
	now      func() time.Time
	presence presence
	counters counters
	leases   leases

	mu       sync.RWMutex // guards the following
	channels map[backplane.Channel]*channel
	nodes    map[*Backplane]struct{}
}

// NewBus makes a bus without nodes.
func NewBus() *Bus { return newBus(time.Now) }

func newBus(now func() time.Time) *Bus {
	return &Bus{
		now:      now,
		presence: presence{now: now, nodes: map[*Backplane]*attendance{}},
		counters: counters{now: now, windows: map[string]window{}},
		leases:   leases{now: now, byKey: map[string]lease{}},
		channels: map[backplane.Channel]*channel{},
		nodes:    map[*Backplane]struct{}{},
	}
}

// Node adds a node to the bus. A nil Bus stands for a new one: the node is alone.
func (b *Bus) Node(id string) *Backplane {
	if b == nil {
		b = NewBus()
	}
	n := &Backplane{bus: b, id: id, joined: map[backplane.Channel]struct{}{}}
	b.mu.Lock()
	b.nodes[n] = struct{}{}
	b.mu.Unlock()
	return n
}

// post puts e in its channel's order and, unless another goroutine is at it, delivers the channel.
func (b *Bus) post(name backplane.Channel, e event) {
	for {
		ch := b.channel(name, e.kind == joins)
		if ch == nil { // nobody has joined it: there is nobody to tell
			e.finish(e.unheard())
			return
		}
		switch ch.push(e, b.now) {
		case queued:
			return
		case overflowed:
			e.finish(backplane.ErrUnavailable)
			return
		case idle:
			if ch.deliver() {
				b.forget(name, ch)
			}
			return
		case removed: // forgotten since it was found
		}
	}
}

// channel finds a channel; only a join makes one.
func (b *Bus) channel(name backplane.Channel, create bool) *channel {
	b.mu.RLock()
	ch := b.channels[name]
	b.mu.RUnlock()
	if ch != nil || !create {
		return ch
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if ch = b.channels[name]; ch == nil {
		ch = &channel{}
		b.channels[name] = ch
	}
	return ch
}

// forget takes a channel out if it is still idle and without members.
func (b *Bus) forget(name backplane.Channel, ch *channel) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !ch.busy && len(ch.queue) == 0 && len(ch.members) == 0 && !ch.gone {
		ch.gone = true
		delete(b.channels, name)
	}
}

// others are the open nodes but one.
func (b *Bus) others(n *Backplane) []*Backplane {
	b.mu.RLock()
	defer b.mu.RUnlock()
	others := make([]*Backplane, 0, len(b.nodes))
	for other := range b.nodes {
		if other != n {
			others = append(others, other)
		}
	}
	return others
}
