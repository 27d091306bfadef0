package session_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	bus "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
)

// world is one broker under random events: a store that survives, a node that may be killed at any moment, and
// devices that come, go, fall silent and ack in any order. Everything that a device sees is told to the checker.
type world struct {
	rng   *rand.Rand
	store storage.Store // survives a crash
	check *checker
	ticks atomic.Int64 // one order for all that happens
	log   *slog.Logger

	life   *life
	cat    *session.Catalog
	node   *session.Node
	cancel context.CancelFunc
	ended  chan error

	devices []*device
	topics  []string
	conns   int
	ids     int
	unacked []*publication // published: may be sent again
}

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
	conns    []*conn
	maxConns int
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

// conn is one connection of a device: the test's own transport, in memory.
type conn struct {
	w      *world
	id     int
	device *device
	peer   session.Peer

	mu      sync.Mutex // guards the following
	waiting bool
	gone    bool // the engine closed it, or the device did
	code    protocol.CloseCode
	pings   []time.Time
	inbox   []received // messages not acked yet
	dead    bool       // half open: takes everything, answers nothing

	ready      bool
	subscribed map[string]bool
	backlog    [][]byte // frames that wait for Resume
	told       bool     // peer.Closed was called
}

type received struct{ topic, id string }

func (c *conn) Send(_ session.Lane, p *session.Packet) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return false
	}
	var f protocol.ServerFrame
	if err := f.Parse(p.Payload()); err != nil {
		c.w.check.violate("the node sent a frame that does not parse: %v: %s", err, p.Payload())
		return true
	}
	if c.dead {
		switch f.Type {
		case protocol.TypeMessage:
			c.w.check.swallowed(c, string(f.Topic), string(f.MessageID))
		case protocol.TypeUnsubscribeResponse:
			c.w.check.unsubscribed(c, string(f.Topic))
		}
		return true
	}
	tick := c.w.ticks.Add(1)
	switch f.Type {
	case protocol.TypeInitResponse:
		c.ready = f.Success
		if !f.Success {
			c.w.check.violate("%s: init failed: %s %s", c.device.name, f.Code, f.Text)
		}
		if c.device.version == protocol.Version2 {
			for _, t := range f.Topics {
				c.subscribed[t] = true
			}
		}
	case protocol.TypeSubscribeResponse:
		if f.Success {
			c.subscribed[string(f.Topic)] = true
			c.w.check.subscribed(tick, c, string(f.Topic))
		}
	case protocol.TypeUnsubscribeResponse:
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
	return true
}

func (c *conn) SendChunk(p *session.Packet, sent func()) bool { go sent(); return true }

func (c *conn) Ping() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dead && !c.gone {
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
	}
}

func (c *conn) alive() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.gone && c.ready && !c.dead
}

// send hands a frame to the engine, or queues it while the engine is busy with this connection.
func (c *conn) send(f *protocol.ClientFrame) { c.backlog = append(c.backlog, f.Append(nil)); c.pump() }

// pump is the gateway's part: frames in order, none while the engine waits; pongs; one Closed.
func (c *conn) pump() {
	for {
		c.mu.Lock()
		gone, waiting, dead := c.gone, c.waiting, c.dead
		pings := c.pings
		c.pings = nil
		if !gone && !waiting && len(c.backlog) > 0 {
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
		if wait := c.peer.Text(b); !wait {
			c.mu.Lock()
			c.waiting = false
			c.mu.Unlock()
		}
		if f.Type == protocol.TypeAck {
			c.w.check.settled(c.w.ticks.Add(1), c, &f)
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

// start brings a node up on the store that is there.
func (w *world) start() {
	w.life = &life{Store: w.store}
	plane := bus.NewBus().Node("n1")
	w.cat = newCatalog(w.life, plane)
	node, err := session.New(session.Config{
		NodeID: "n1", Store: w.life, Backplane: plane, Catalog: w.cat, Logger: w.log,
		MaxPayload: protocol.MaxPayload, MaxRetention: protocol.MaxRetention, OutboxBytes: protocol.OutboxBytes,
		MaxTopics: protocol.MaxTopics, MaxOpenFiles: protocol.MaxOpenFiles, SweepEvery: time.Second,
	})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.node, w.cancel, w.ended = node, cancel, make(chan error, 1)
	go func() { w.ended <- node.Run(ctx) }()
}

// crash ends the node as kill -9 does: nothing of it reaches the store any more, and every socket is gone.
func (w *world) crash() {
	w.check.crash(time.Now())
	w.life.end()
	w.closeAll()
	w.cancel()
	<-w.ended
	w.start()
}

// restart ends the node in good order.
func (w *world) restart() {
	w.closeAll()
	w.cancel()
	<-w.ended
	w.life.end()
	w.start()
}

func (w *world) closeAll() {
	for _, d := range w.devices {
		for _, c := range d.conns {
			c.mu.Lock()
			c.gone = true
			c.mu.Unlock()
			c.w.check.left(c)
		}
	}
	w.pump()
	synctest.Wait()
	w.pump()
	for _, d := range w.devices {
		d.conns = nil
	}
}

func (w *world) pump() {
	for _, d := range w.devices {
		for _, c := range d.conns {
			c.pump()
		}
	}
}

// connect opens a connection of d and logs it in.
func (w *world) connect(d *device) *conn {
	w.conns++
	c := &conn{w: w, id: w.conns, device: d, subscribed: map[string]bool{}}
	c.peer = w.node.Open(c, netip.MustParseAddr("127.0.0.1"))
	d.conns = append(d.conns, c)
	c.send(&protocol.ClientFrame{Type: protocol.TypeInit, SessionName: []byte(d.session), Password: []byte("password"),
		ClientID: []byte(d.clientID), UserID: []byte(d.userID), Protocol: d.version, QoS: 1})
	return c
}

// drop forgets connections that are gone.
func (d *device) reap() {
	kept := d.conns[:0]
	for _, c := range d.conns {
		c.mu.Lock()
		gone := c.gone && c.told
		c.mu.Unlock()
		if gone {
			c.w.check.left(c)
		} else {
			kept = append(kept, c)
		}
	}
	d.conns = kept
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
	got := append([]received(nil), c.inbox[:n]...)
	c.inbox = append([]received(nil), c.inbox[n:]...)
	return got
}
