package session_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

type publication struct {
	id, topic, data string
	session         string
	by              *device
}

// device is a client program: it keeps its identity over many connections.
type device struct {
	name     string
	session  string
	clientID string
	userID   string
	version  int
	lazy     bool // leaves much unacked for long
	maxConns int
	all      []*conn // those that it has left too, until their node knows
}

// conns are those that the device still uses.
func (d *device) conns() []*conn {
	return slices.DeleteFunc(slices.Clone(d.all), func(c *conn) bool { return c.isLeft() })
}

// subscriber is the identity that a delivery counts for: an ephemeral connection is its own.
func (d *device) subscriber(c *conn) string {
	switch {
	case d.clientID != "":
		return d.session + "/c:" + d.clientID
	case d.userID != "":
		return d.session + "/u:" + d.userID
	}
	return fmt.Sprintf("%s/e:%d", d.session, c.id)
}

func (d *device) durable() bool { return d.clientID != "" || d.userID != "" }

// pick returns one of the device's working connections.
func (d *device) pick(rng *rand.Rand) *conn {
	conns := d.conns()
	for _, i := range rng.Perm(len(conns)) {
		if conns[i].alive() {
			return conns[i]
		}
	}
	return nil
}

// reap forgets connections that are gone.
func (d *device) reap() {
	kept := d.all[:0]
	for _, c := range d.all {
		c.mu.Lock()
		gone := c.gone && c.told
		c.mu.Unlock()
		if gone {
			c.w.check.left(c)
		} else {
			kept = append(kept, c)
		}
	}
	clear(d.all[len(kept):])
	d.all = kept
}

// conn is one connection of a device: the test's own transport, in memory.
type conn struct {
	w      *world
	id     int
	device *device
	server *server
	peer   session.Peer
	opened time.Time

	mu      sync.Mutex // guards the following
	waiting bool
	gone    bool // the engine closed it, or the device did
	code    protocol.CloseCode
	pings   []time.Time
	inbox   []received // messages not acked yet
	dead    bool       // half open: takes everything, answers nothing
	abandon bool       // the device has left it, and its node does not know yet
	still   bool       // its node stands still
	unsent  []func()   // what the node sends meanwhile

	ready      bool
	subscribed map[string]bool
	backlog    [][]byte // frames that wait for Resume
	told       bool     // peer.Closed was called
}

type received struct{ topic, id string }

func (c *conn) SendAll(l session.Lane, r *session.Run, from, to int) int {
	for i, p := range r.Packets[from:to] {
		if !c.Send(l, p) {
			return i
		}
	}
	return to - from
}

func (c *conn) Send(_ session.Lane, p *session.Packet) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return false
	}
	if c.still {
		c.unsent = append(c.unsent, func() { c.take(p.Payload()) })
		return true
	}
	c.take(p.Payload())
	return true
}

// take is the device's end. mu is held.
func (c *conn) take(payload []byte) {
	var f protocol.ServerFrame
	if err := f.Parse(payload); err != nil {
		c.w.check.violate("the node sent a frame that does not parse: %v: %s", err, payload)
		return
	}
	if c.dead || c.abandon {
		switch f.Type {
		case protocol.TypeMessage:
			c.w.check.swallowed(c, string(f.Topic), string(f.MessageID))
		case protocol.TypeUnsubscribeResponse:
			c.w.check.unsubscribed(c, string(f.Topic))
		}
		return
	}
	tick := c.w.ticks.Add(1)
	switch f.Type {
	case protocol.TypeInitResponse:
		c.ready = f.Success
		if !f.Success {
			c.w.check.failed(c, "init", f.Code)
		}
		for _, t := range f.Topics {
			c.subscribed[t] = true // in version 1 it flows when this connection asks for it
		}
		c.w.check.tell(fmt.Sprintf("conn %d: log-in %v %s", c.id, f.Success, f.Code), c.device.subscriber(c))
	case protocol.TypeSubscribeResponse:
		if !f.Success {
			c.w.check.failed(c, "subscribe", f.Code)
			return
		}
		c.subscribed[string(f.Topic)] = true
		c.w.check.subscribed(tick, c, string(f.Topic))
	case protocol.TypeUnsubscribeResponse:
		if !f.Success {
			c.w.check.failed(c, "unsubscribe", f.Code)
			return
		}
		c.w.check.unsubscribed(c, string(f.Topic))
	case protocol.TypeMessage:
		c.w.check.delivered(tick, c, &f)
		if f.QoS != 0 {
			c.inbox = append(c.inbox, received{string(f.Topic), string(f.MessageID)})
		}
	case protocol.TypeAckReceived:
		c.w.check.acked(tick, c, string(f.Topic), string(f.MessageID), f.Seq)
	case protocol.TypePublishResponse:
		if !f.Success {
			c.w.check.refused(c, string(f.Topic), string(f.MessageID), f.Code)
		}
	case protocol.TypeError:
		c.w.check.violate("%s: error frame: %s %s", c.device.name, f.Code, f.Text)
	}
}

func (c *conn) SendChunk(p *session.Packet, sent func()) bool { go sent(); return true }

func (c *conn) Ping() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		c.pings = append(c.pings, time.Now())
	}
}

func (c *conn) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = false
}

func (c *conn) Close(code protocol.CloseCode, _ string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.gone {
		c.gone, c.code = true, code
		c.w.check.tell(fmt.Sprintf("conn %d is closed with %d", c.id, code), c.device.subscriber(c))
	}
}

func (c *conn) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.gone && c.ready && !c.dead && !c.abandon
}

func (c *conn) held(topic string) bool { c.mu.Lock(); defer c.mu.Unlock(); return c.subscribed[topic] }

func (c *conn) isLeft() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.abandon }

// leave has the device go without a word: what it sent before still arrives.
func (c *conn) leave() { c.mu.Lock(); c.abandon = true; c.mu.Unlock() }

func (c *conn) freeze() { c.mu.Lock(); c.still = true; c.mu.Unlock() }

// thaw has what the node sent arrive, as of now.
func (c *conn) thaw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.still = false
	for _, send := range c.unsent {
		if !c.gone {
			send()
		}
	}
	c.unsent = nil
}

// send hands a frame to the engine, or queues it while the engine is busy with this connection.
func (c *conn) send(f *protocol.ClientFrame) {
	c.backlog = append(c.backlog, f.Append(nil))
	c.pump()
}

// pump is the gateway's part: frames in order, none while the engine waits; pongs; one Closed.
func (c *conn) pump() {
	for {
		c.mu.Lock()
		if c.still {
			c.mu.Unlock()
			return
		}
		if c.abandon && len(c.backlog) == 0 && !c.waiting && !c.server.plane.isCut() {
			// What a device that went without a word had sent has arrived; where the network is well, so does its end.
			c.gone = true
		}
		gone, waiting, dead := c.gone, c.waiting, c.dead || c.abandon
		pings := c.pings
		if c.pings = nil; !gone && !waiting && len(c.backlog) > 0 {
			c.waiting = true // Resume may come before Text returns
		}
		c.mu.Unlock()
		if gone {
			c.backlog = nil
			if !c.told && !waiting {
				c.told = true
				c.peer.Closed()
			}
			return
		}
		for _, at := range pings {
			if !dead {
				c.peer.Alive(at)
			}
		}
		if waiting || len(c.backlog) == 0 {
			return
		}
		b := c.backlog[0]
		c.backlog = c.backlog[1:]
		var f protocol.ClientFrame
		if err := f.Parse(b); err == nil {
			c.w.check.handing(c.w.ticks.Add(1), c, &f)
		}
		wait := c.peer.Text(b)
		if wait || len(c.backlog) == 0 {
			c.peer.Rest() // else what comes next came in the same read
		}
		if !wait {
			c.mu.Lock()
			c.waiting = false
			c.mu.Unlock()
		}
		if f.Type == protocol.TypeAck {
			c.w.check.settled(c, &f)
		}
	}
}

// hangUp ends the connection from the device's side.
func (c *conn) hangUp() {
	c.mu.Lock()
	c.gone = true
	c.mu.Unlock()
	c.pump()
}

func (c *conn) publish(p *publication, retry bool) {
	c.send(&protocol.ClientFrame{Type: protocol.TypePublish, Topic: []byte(p.topic), MessageID: []byte(p.id),
		Data: []byte(p.data), HasData: true, QoS: 1, Retry: retry})
}

func (c *conn) ack(r received) {
	f := &protocol.ClientFrame{Type: protocol.TypeAck, Topic: []byte(r.topic), QoS: 1}
	if c.device.version == protocol.Version2 {
		f.MessageIDs = [][]byte{[]byte(r.id)}
	} else {
		f.MessageID = []byte(r.id)
		if c.w.rng.IntN(2) == 0 {
			f.Topic = nil
		}
	}
	c.send(f)
}

// takeInbox removes and returns some of the unacked messages, in random order.
func (c *conn) takeInbox(rng *rand.Rand, most int) []received {
	c.mu.Lock()
	defer c.mu.Unlock()
	rng.Shuffle(len(c.inbox), func(i, j int) { c.inbox[i], c.inbox[j] = c.inbox[j], c.inbox[i] })
	n := min(most, len(c.inbox))
	got := slices.Clone(c.inbox[:n])
	c.inbox = slices.Clone(c.inbox[n:])
	return got
}
