package session

import "time"

// ring is called when something of the connection is due: it sends again what is not acked, gives up what was sent
// often enough, and goes on with what waits for room.
//
// A try counts only once a pong to a later ping has come: so what is due first asks for one, and Alive rings again.
func (c *Conn) ring(now int64) {
	interval, limit := c.tenant.retryAfter.Load(), int(c.tenant.retryLimit.Load())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() || c.detached {
		return
	}
	alive := c.alive.Load()
	next, asked, look := int64(0), false, false
	due := func(at int64) {
		if next == 0 || at < next {
			next = at
		}
	}
	c.window.keep(func(o *out) bool {
		switch {
		case o.m.fate.Load() == failed:
			return false // it was refused after all
		case o.m.expires <= now:
			c.expire(o.f, o.m)
			return false
		case o.f.elsewhere(o.m):
			return false
		case o.m.doubtful():
			due(now + interval)
			return true
		case o.sent+interval > now:
		case alive < o.sent:
			asked = asked || c.pinged < o.sent
			if o.f.unsure(o.sent+interval, now) {
				o.f.sub.look() // meanwhile
				look = true
			}
			due(o.m.expires)
			return true
		case o.f.unsure(o.sent+interval, now):
			o.f.sub.look()
			look = true
			due(o.sent + interval + lookPatience)
			return true
		case int(o.tries) >= limit:
			c.giveUp(o)
			return false
		case c.socket.Send(LaneMessage, o.m.packet(int(o.tries)+1, false)):
			o.tries++
			o.sent = now
			c.node.figures.redeliveries.Add(1)
			if o.m.topic.watched() {
				c.traced(o.m, StepResent, int(o.tries))
			}
		default:
			due(now + parkFor) // the outbox is full
			return true
		}
		due(min(o.sent+interval, o.m.expires))
		return true
	})
	if asked {
		c.pinged = now
		c.socket.Ping()
	}
	if look {
		c.node.cursors.soon()
	}
	c.window.rest()
	if next != 0 {
		c.node.alarms.set(&c.alarm, next)
	}
	c.resumeLocked(now, true)
}

// giveUp ends the tries of a message for this subscriber. A user's other connections may still get it acked: then it
// is only this window's. mu is held.
func (c *Conn) giveUp(o *out) {
	c.node.figures.givenUp.Add(1)
	if o.m.topic.watched() {
		c.traced(o.m, StepGivenUp, int(o.tries))
	}
	if o.f.sub == nil || o.f.sub.subscriber.client() {
		o.m.settle(o.f.sub, true)
		return
	}
	switch alone, known := o.f.sub.subscriber.alone(); {
	case !known:
		c.node.surrenders.add(surrender{o.m, o.f.sub, o.f.sub.attached()})
	case alone:
		o.m.settle(o.f.sub, true)
	}
}

// lookPatience is how long a message that is due for a user waits for the row, which knows what they acked elsewhere.
const lookPatience = int64(time.Second)

// elsewhere reports whether the feed's user has acked m, through another node.
func (f *feed) elsewhere(m *message) bool {
	seq := m.seq.Load()
	return seq != 0 && f.sub != nil && f.sub.subscriber.scattered() && f.sub.has(seq)
}

// unsure reports whether the user's row must be read before what was due at a time is sent again.
func (f *feed) unsure(due, now int64) bool {
	return f.sub != nil && f.sub.subscriber.scattered() && now < due+lookPatience && !f.sub.readSince(due)
}
