package session

import (
	"slices"
	"time"
)

// PendingAges are the upper ends of the ages that Pending counts by; what is older than the last has no end.
var PendingAges = [...]time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour}

// Pending is what this node's connections have been sent, or will be once there is room, and have not acked: by the
// age of the message. What waits in the store for who is not connected is not in it.
type Pending [len(PendingAges) + 1]int64

// All is all of them.
func (p Pending) All() (n int64) {
	for _, count := range p {
		n += count
	}
	return n
}

// Pending counts. It goes through every connection's window: for whoever asks every few seconds, not every frame.
func (n *Node) Pending() (p Pending) {
	now := n.clock()
	count := func(m *message) {
		i, age := 0, time.Duration(now-m.arrived)
		for i < len(PendingAges) && age >= PendingAges[i] {
			i++
		}
		p[i]++
	}
	for _, t := range n.allTenants() {
		t.mu.RLock()
		conns := slices.Clone(t.conns)
		t.mu.RUnlock()
		for _, c := range conns {
			c.mu.Lock()
			for i := c.window.head; i < len(c.window.list); i++ {
				count(c.window.list[i].m)
			}
			for i := range c.backlog.list {
				count(c.backlog.list[i].m)
			}
			c.mu.Unlock()
		}
	}
	return p
}
