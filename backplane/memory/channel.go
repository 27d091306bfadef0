package memory

import (
	"slices"
	"sync"
	"time"

	"github.com/fastport/fastport/backplane"
)

// maxQueued bounds a channel's queue. It only grows while receivers are slower than announcers; what is beyond it is
// refused with ErrUnavailable. Joins and leaves always fit, since a lost one would never be made good.
const maxQueued = 1 << 16

// kind is what an event asks for.
type kind uint8

const (
	copies kind = iota
	notes
	heads
	fences
	joins
	leaves
)

// event is one place in a channel's order.
type event struct {
	kind kind
	node *Backplane // who asked
	copy *backplane.Copy
	note *backplane.Note
	head *backplane.Heads
	more bool        // another comes at once, which delivers this one too
	done func(error) // may be nil
}

func (e *event) finish(err error) {
	if e.done != nil {
		e.done(err)
	}
}

// unheard is the answer where nobody is joined: a message to nobody is no failure, a fence outside of a channel is.
func (e *event) unheard() error {
	if e.kind == fences {
		return backplane.ErrUnavailable
	}
	return nil
}

// channel is the order of one backplane.Channel.
type channel struct {
	mu    sync.Mutex // guards the following; never held during a call
	queue []event
	busy  bool // some goroutine is delivering
	gone  bool // not in the bus any more

	// Owned by the goroutine that delivers; changed under mu besides, for others to read it there.
	members []*Backplane
	spare   []event
	list    []*backplane.Copy
}

// pushed is what became of a push.
type pushed uint8

const (
	queued pushed = iota
	idle          // queued, and the caller must deliver it
	overflowed
	removed
)

func (c *channel) push(e event, now func() time.Time) pushed {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.gone:
		return removed
	case len(c.queue) >= maxQueued && e.kind < joins:
		return overflowed
	}
	if e.kind == copies {
		e.copy.Issued = now() // under the lock: issue times follow the order
	}
	c.queue = append(c.queue, e)
	if c.busy || e.more {
		return queued
	}
	c.busy = true
	return idle
}

// deliver carries out the queue until it is empty, and reports whether the channel is without members then.
func (c *channel) deliver() (deserted bool) {
	var batch []event
	next, done := 0, false
	defer func() {
		if !done { // a receiver panicked: the next caller goes on with what is left
			c.mu.Lock()
			c.queue = append(slices.Clone(batch[next:]), c.queue...)
			c.busy = false
			c.mu.Unlock()
		}
	}()
	for {
		c.mu.Lock()
		if len(c.queue) == 0 {
			c.busy, done = false, true
			deserted = len(c.members) == 0
			c.mu.Unlock()
			return deserted
		}
		batch, c.queue, c.spare = c.queue, c.spare, nil
		next = 0
		c.mu.Unlock()

		for next < len(batch) {
			run := batch[next : next+together(batch[next:])]
			next += len(run)
			if run[0].kind == copies {
				c.pass(run)
			} else {
				c.carryOut(&run[0])
			}
			clear(run) // lets go of the messages
		}
		if cap(batch) <= 1024 { // a burst's array is not kept
			c.spare = batch[:0]
		}
	}
}

// together is how many of the first events are carried out in one call.
func together(events []event) int {
	n := 1
	if events[0].kind == copies {
		for n < len(events) && events[n].kind == copies {
			n++
		}
	}
	return n
}

// pass hands copies to every member.
func (c *channel) pass(run []event) {
	// The announcer's node gets the very Copy. Each other node gets its own, made before anyone sees the first: Shared
	// belongs to a receiving node, and nodes of one process must not meet in it.
	var originals []backplane.Copy
	if slices.ContainsFunc(run, func(e event) bool {
		return slices.ContainsFunc(c.members, func(n *Backplane) bool { return n != e.node })
	}) {
		originals = make([]backplane.Copy, len(run))
		for i := range run {
			originals[i] = *run[i].copy
			originals[i].Shared = nil
		}
	}
	for _, n := range c.members {
		r := n.receiver()
		if r == nil {
			continue
		}
		c.list = c.list[:0]
		for i := range run {
			mine := run[i].copy
			if n != run[i].node {
				other := originals[i]
				mine = &other
			}
			c.list = append(c.list, mine)
		}
		r.Copies(c.list)
		clear(c.list)
	}
	if cap(c.list) > 1024 {
		c.list = nil
	}
	for i := range run {
		run[i].finish(nil)
	}
}

func (c *channel) carryOut(e *event) {
	switch e.kind {
	case joins:
		if e.node.closed.Load() {
			e.finish(backplane.ErrUnavailable)
			return
		}
		c.setMembers(func(m []*Backplane) []*Backplane {
			if slices.Contains(m, e.node) {
				return m
			}
			return append(m, e.node)
		})
		e.finish(nil)
	case leaves:
		c.setMembers(func(m []*Backplane) []*Backplane {
			return slices.DeleteFunc(m, func(n *Backplane) bool { return n == e.node })
		})
		e.finish(nil)
	case fences:
		if e.node.closed.Load() || !slices.Contains(c.members, e.node) {
			e.finish(backplane.ErrUnavailable)
			return
		}
		e.finish(nil)
	case notes:
		for _, n := range c.members {
			if r := n.receiver(); r != nil {
				r.Note(e.note)
			}
		}
		e.finish(nil)
	case heads:
		for _, n := range c.members {
			if r := n.receiver(); r != nil {
				r.Heads(e.head)
			}
		}
	}
}

func (c *channel) setMembers(change func([]*Backplane) []*Backplane) {
	c.mu.Lock()
	c.members = change(c.members)
	c.mu.Unlock()
}
