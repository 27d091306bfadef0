package session

import (
	"slices"
	"time"

	"github.com/fastport/fastport/protocol"
)

// What a connection publishes stays in its order: behind a publish that is appended before it is announced, the
// connection's later ones on that topic are too, until it is decided.

// appendsFirst reports whether such a one is under way.
func (c *Conn) appendsFirst(t *topic) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.first, t)
}

// appendFirst notes one.
func (c *Conn) appendFirst(t *topic) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first = append(c.first, t)
}

// appendedFirst ends one.
func (c *Conn) appendedFirst(t *topic) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.first, t); i >= 0 {
		last := len(c.first) - 1
		c.first[i] = c.first[last]
		c.first[last] = nil
		if c.first = c.first[:last]; last == 0 {
			c.first = nil
		}
	}
}

// mayResend reports whether a publish of this connection may be a resend that does not say so, of something that this
// node cannot know: a version 1 client has no word for it, and the node has not lived as long as ids are kept.
func (c *Conn) mayResend() bool {
	return c.version == protocol.Version1 && time.Since(c.node.started) < protocol.DedupeWindow
}
