package session

import (
	"slices"

	"github.com/fastport/fastport/protocol"
)

// backlog is what waits for room in an ephemeral subscriber's window: at most OutboxBytes of frames, then 4008.
type backlog struct {
	list  []waits
	bytes int
}

type waits struct {
	m *message
	f *feed
}

func (b *backlog) push(w waits, size int) {
	b.list = append(b.list, w)
	b.bytes += size
}

func (b *backlog) pop(size int) {
	b.list[0] = waits{}
	if b.list = b.list[1:]; len(b.list) == 0 {
		b.list = nil
	}
	b.bytes -= size
}

func (b *backlog) keep(stay func(*waits) bool) {
	b.list = slices.DeleteFunc(b.list, func(w waits) bool {
		if stay(&w) {
			return false
		}
		b.bytes -= w.size()
		return true
	})
}

// size is what a waiting message counts for.
func (w *waits) size() int { return len(w.m.data) + 256 }

// deliver sends m on a feed. False: there is no room for it, and a durable feed must read on later, when the
// connection has queued it. The topic's mu is held.
func (c *Conn) deliver(f *feed, m *message, replay bool, now int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return true
	}
	n := c.node
	if m.qos == 0 {
		c.sendOnce(m)
		return true
	}
	room := c.window.len() < n.cfg.MaxInFlight && len(c.backlog.list) == 0
	if m.expires <= now {
		c.expire(f, m)
		return true
	}
	if room {
		if c.push(f, m, replay, now) {
			return true
		}
		// It is the outbox that is full, not the window: no ack will tell when there is room.
		c.choked = now + parkFor
		n.alarms.set(&c.alarm, c.choked)
	}
	if f.sub != nil {
		c.park(f)
		return false
	}
	w := waits{m, f}
	if c.backlog.bytes+w.size() > n.cfg.OutboxBytes {
		n.figures.slow.Add(1)
		c.closed.Store(true)
		c.socket.Close(protocol.CloseSlowConsumer, "too many messages wait for an ack")
		return true
	}
	c.backlog.push(w, w.size())
	return true
}

// deliverRun sends the first of a run's messages from one on to a live feed, up to one that takes more thought, and says
// how many. The topic's mu is held.
func (c *Conn) deliverRun(f *feed, r *run, from int, now int64) (sent int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return r.n - from
	}
	if len(c.backlog.list) > 0 {
		return 0
	}
	n := c.node
	plain := r.plain(f, from, n.cfg.MaxInFlight-c.window.len(), now)
	if plain == 0 {
		return 0
	}
	sent = c.socket.SendAll(LaneMessage, &r.frames, from, from+plain)
	r.left(from, from+sent, now)
	if r.owed > 0 {
		due := int64(0)
		for _, m := range r.messages[from : from+sent] {
			if m.qos == 0 {
				continue
			}
			c.window.push(newOut(f, m, now))
			if due == 0 || m.expires < due {
				due = m.expires
			}
		}
		if due != 0 {
			n.alarms.set(&c.alarm, min(now+c.tenant.retryAfter.Load(), due))
		}
	}
	n.figures.deliveries.Add(int64(sent))
	return sent
}

// deliverOnce sends what nobody is owed.
func (c *Conn) deliverOnce(m *message, now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed.Load() && m.expires > now {
		c.sendOnce(m)
	}
}

// sendOnce sends m where there is room, and forgets it. mu is held.
func (c *Conn) sendOnce(m *message) {
	room := c.window.len() < c.node.cfg.MaxInFlight && len(c.backlog.list) == 0
	if room && c.socket.Send(LaneMessage, m.packet(0, false)) {
		m.leaves(m.arrived)
		c.node.figures.deliveries.Add(1)
		if m.topic.watched() {
			c.traced(m, StepSent, 0)
		}
	} else {
		c.node.figures.dropped.Add(1)
		if m.topic.watched() {
			c.traced(m, StepDropped, 0)
		}
	}
}

// push sends m and puts it into the window. mu is held.
func (c *Conn) push(f *feed, m *message, replay bool, now int64) bool {
	if !c.socket.Send(LaneMessage, m.packet(0, replay)) {
		return false
	}
	c.window.push(newOut(f, m, now))
	c.node.alarms.set(&c.alarm, min(now+c.tenant.retryAfter.Load(), m.expires))
	m.leaves(now)
	c.node.figures.deliveries.Add(1)
	if m.topic.watched() {
		c.traceSent(m, replay)
	}
	return true
}

// park keeps a feed until there is room. mu is held.
func (c *Conn) park(f *feed) {
	if !f.parked {
		f.parked = true
		c.behind = append(c.behind, f)
	}
}

// room is how many more messages may go out; where it is 0 the feed is parked.
func (c *Conn) room(f *feed) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	room := c.node.cfg.MaxInFlight - c.window.len()
	if room <= 0 {
		c.park(f)
		return 0
	}
	return room
}

// outTo is the seqs that are out on a feed.
func (c *Conn) outTo(f *feed) map[uint64]bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	seqs := map[uint64]bool{}
	for i := c.window.head; i < len(c.window.list); i++ {
		if o := &c.window.list[i]; o.f == f {
			seqs[o.m.seq.Load()] = true
		}
	}
	return seqs
}

// holds reports whether m is out.
func (c *Conn) holds(m *message) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.window.list[c.window.head:], func(o out) bool { return o.m == m })
}

// resume goes on with what waits for room.
func (c *Conn) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resumeLocked(c.node.clock(), false)
}

// few is how many feeds of a connection are read at once.
const few = 4

// resumeLocked goes on with what waits for room; feeds wait for a good deal of it, unless they have waited for long.
// mu is held.
func (c *Conn) resumeLocked(now int64, long bool) {
	most := c.node.cfg.MaxInFlight
	for len(c.backlog.list) > 0 && c.window.len() < most && !c.closed.Load() {
		w := c.backlog.list[0]
		if w.m.expires > now && !c.push(w.f, w.m, false, now) {
			c.node.alarms.set(&c.alarm, now+parkFor)
			break
		}
		c.backlog.pop(w.size())
	}
	room := most - c.window.len()
	if len(c.behind) == 0 || room <= 0 || now < c.choked {
		return
	}
	if room < (most+1)/2 && !long {
		c.node.alarms.set(&c.alarm, now+parkFor)
		return
	}
	for range min(few, len(c.behind)) {
		f := c.behind[0]
		c.behind = c.behind[1:]
		f.parked = false
		c.node.readers.add(f)
	}
	if len(c.behind) == 0 {
		c.behind = nil
	}
}

// later reads a feed again after a pause.
func (c *Conn) later(f *feed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !f.parked {
		f.parked = true
		c.behind = append(c.behind, f)
	}
	c.node.alarms.set(&c.alarm, c.node.clock()+readAgain)
}

// expire forgets a message whose time is over: it is owed to nobody.
func (c *Conn) expire(f *feed, m *message) {
	c.node.figures.expired.Add(1)
	if m.topic.watched() {
		c.traced(m, StepExpired, 0)
	}
	m.settle(f.sub, true)
}
