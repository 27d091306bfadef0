package session

import (
	"slices"
	"time"

	"github.com/fastport/fastport/protocol"
)

// What a connection publishes stays in its order: behind a publish that is appended before it is announced, the
// connection's later ones on that topic are too, until it is decided. What is behind one that must wait for the store
// must wait for it, too; what caution alone holds back, or holds back what is before it, need not wait for long.

// before is a publish of a connection that is appended before it is announced.
type before struct {
	topic *topic
	wary  bool // see publish
}

// appendsFirst reports whether such ones are under way, and whether all of them are wary.
func (c *Conn) appendsFirst(t *topic) (first, wary bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wary = true
	for _, b := range c.first {
		if b.topic == t {
			first, wary = true, wary && b.wary
		}
	}
	return first, wary
}

// appendFirst notes one.
func (c *Conn) appendFirst(b before) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first = append(c.first, b)
}

// appendedFirst ends one.
func (c *Conn) appendedFirst(b before) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.first, b); i >= 0 {
		last := len(c.first) - 1
		c.first[i] = c.first[last]
		c.first[last] = before{}
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

// aged reports whether a message that was stamped so many milliseconds ago may be a resend that does not say so: what
// is sent for the first time was made just now. A clock that is off by more than ids are kept says nothing.
func aged(ms int64) bool {
	return ms > copyStale/int64(time.Millisecond) && ms < protocol.DedupeWindow.Milliseconds()
}
