package session_test

import (
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/protocol"
)

// step is one random event.
func (w *world) step() {
	rng := w.rng
	d := w.devices[rng.IntN(len(w.devices))]
	d.reap()
	c := d.pick(rng)
	switch p := rng.IntN(1000); {
	case p < 3:
		w.fault()
	case p < 60 || c == nil:
		if c == nil {
			w.sleep(10 * time.Millisecond) // where no node answers, what ails them must end some day
		}
		if n := len(d.conns()); n < d.maxConns || d.clientID != "" && n < 4 && rng.IntN(10) == 0 { // the latter is a take-over
			w.connect(d)
			if w.check.cluster && d.clientID != "" && rng.IntN(8) == 0 {
				w.connect(d) // at once again: log-ins overlap
			}
		}
	case p < 80:
		c.hangUp()
	case p < 90:
		c.mu.Lock()
		c.dead = true
		c.mu.Unlock()
	case p < 170:
		c.send(&protocol.ClientFrame{Type: protocol.TypeSubscribe, Topic: []byte(w.topic()), QoS: 1})
	case p < 176:
		c.send(&protocol.ClientFrame{Type: protocol.TypeUnsubscribe, Topic: []byte(w.topic()), QoS: 1})
	case p < 450:
		n := 1 + rng.IntN(5)
		if rng.IntN(100) == 0 {
			n = 300 // beyond a window
		}
		for range n {
			w.ids++
			pub := &publication{id: fmt.Sprintf("m%d", w.ids), topic: w.topic(), data: fmt.Sprintf("%s-%d", d.session, w.ids), session: d.session, by: d}
			w.unacked = append(w.unacked, pub)
			c.publish(pub, false)
			if w.check.cluster && n < 3 && !d.durable() && rng.IntN(20) == 0 {
				w.twin(d, pub)
			}
		}
	case p < 480:
		w.resend(d, c)
	case p < 800:
		most := 40
		if d.lazy {
			most = 3
		}
		for _, r := range c.takeInbox(rng, rng.IntN(most)) {
			c.ack(r)
		}
	case p < 990:
		w.sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
	default:
		w.sleep(time.Duration(rng.IntN(7000)) * time.Millisecond)
	}
	w.pump()
	if rng.IntN(3) > 0 {
		synctest.Wait()
		w.pump()
	}
}

// fault is something that breaks.
func (w *world) fault() {
	s := w.anyServer()
	if s == nil {
		return
	}
	rng := w.rng
	upTo := func(most time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(most))) }
	kinds := 2
	if w.check.cluster {
		kinds = 9
	}
	switch rng.IntN(kinds) {
	case 0:
		w.crash(s)
	case 1:
		w.stop(s)
		w.start()
	case 2, 3:
		w.cut(s, rng.IntN(2) == 0, upTo(4*time.Second), upTo(15*time.Second))
	case 4:
		w.freeze(s, upTo(3*time.Second))
	case 5:
		w.freeze(s, upTo(25*time.Second))
	default:
		if w.weather.fair(0) {
			w.storm(rng.IntN(4), upTo(8*time.Second))
		}
	}
}

// twin has another device of the session publish the very same at once, through its own node.
func (w *world) twin(d *device, p *publication) {
	for _, i := range w.rng.Perm(len(w.devices)) {
		if other := w.devices[i]; other != d && other.session == d.session && !other.durable() {
			if c := other.pick(w.rng); c != nil {
				c.publish(p, false)
				return
			}
		}
	}
}

// resend publishes something again, as its publisher would after a lost connection or a lost ack.
func (w *world) resend(d *device, c *conn) {
	if n := len(w.unacked); n > 200 {
		w.unacked = w.unacked[n-200:]
	}
	for _, i := range w.rng.Perm(len(w.unacked)) {
		if p := w.unacked[i]; p.by == d {
			c.publish(p, d.version == protocol.Version2)
			return
		}
	}
}

func (w *world) topic() string { return w.topics[w.rng.IntN(len(w.topics))] }

// quiesce has all faults end, brings every device online, lets it take and ack everything, and gives the nodes time to
// settle it.
func (w *world) quiesce() {
	for len(w.later) > 0 {
		w.sleep(time.Second)
	}
	for _, d := range w.devices {
		for _, c := range d.conns() {
			c.mu.Lock()
			dead := c.dead
			c.mu.Unlock()
			if dead {
				c.hangUp()
			}
		}
		d.reap()
		if len(d.conns()) == 0 {
			w.connect(d)
		}
	}
	for round := range 60 {
		synctest.Wait()
		w.pump()
		for _, d := range w.devices {
			if round == 20 && d.durable() {
				// What an older connection subscribed at last, or a user's other one, this one would not get.
				for _, c := range d.conns() {
					c.hangUp()
				}
			}
			d.reap()
			if len(d.conns()) == 0 {
				w.connect(d)
				continue
			}
			for _, c := range d.conns() {
				// A version 1 connection gets what it asks for, and a user's what they held when it came.
				if (d.version == protocol.Version1 || d.userID != "") && d.durable() && round%20 == 2 {
					for _, t := range w.topics {
						if !slices.Contains(w.check.active(c), t) && !c.held(t) {
							continue
						}
						c.send(&protocol.ClientFrame{Type: protocol.TypeSubscribe, Topic: []byte(t), QoS: 1})
					}
				}
				for _, r := range c.takeInbox(w.rng, 1<<20) {
					c.ack(r)
				}
			}
		}
		w.sleep(500 * time.Millisecond)
	}
	synctest.Wait()
	w.pump()
}
