package gateway

import (
	"encoding/binary"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

// driver is what the two loops do differently for a conn.
type driver interface {
	// flushSoon has a goroutine of the driver flush the conn. Called under conn.mu.
	flushSoon()
	// wantWrite asks for a flush once the socket is writable, or no longer. Called under conn.mu.
	wantWrite(on bool)
	// wakeReader has the reader call conn.step soon.
	wakeReader()
	// line tells how the bytes written get on; false where the system does not say. Called under conn.mu.
	line() (line, bool)
	// halfClose ends the write side.
	halfClose()
	// hangUp closes the socket. Called once, when nobody reads or writes any more. With reset the kernel drops what it
	// still holds for the peer, and tells it so; else it goes on sending that.
	hangUp(reset bool)
}

// A conn is open until somebody closes it; closing while its last frames, close frame and the peer's last bytes pass;
// then closed. It may go from open to closed at once.
const (
	stateOpen uint32 = iota
	stateClosing
	stateClosed
)

// conn is one WebSocket connection: the engine's Socket, the parser's sink. There are many that do nothing: what only
// few need at a time hangs on a pointer.
type conn struct {
	srv   *Server
	drv   driver
	peer  session.Peer // set before opened
	shard *shard
	slot  slot

	since   time.Duration // when it was accepted, and then when it was upgraded
	opened  atomic.Bool
	state   atomic.Uint32 // written under mu
	gate    atomic.Int32  // -1: reading waits for Resume; 1: Resume came before the wait
	login   atomic.Bool   // counted as pending: not logged in yet
	watched atomic.Bool   // on the shard's list of those to look at each tick
	packed  bool          // permessage-deflate was agreed upon
	heard   atomic.Int64  // when bytes came last; Server.now
	half    atomic.Int64  // since when an unfinished message has been arriving; 0: none
	halfN   atomic.Int64  // bytes that came since

	// Owned by the reader.
	in      parser
	meter   *meter
	backlog []byte // read, to be parsed after Resume
	paused  bool
	told    bool // Peer.Closed was called
	ended   bool // given back to the server

	seen *witness // owned by tick; nil where nothing is up against a deadline

	mu    sync.Mutex    // guards the following
	out   *outbox       // nil while nothing waits
	moved time.Duration // when the kernel took bytes last, or the first began to wait for it

	pinged    time.Duration // when the ping went into the queue that no pong has come to; 0: none
	pingedOut time.Duration // when the kernel took a ping last

	bye       *farewell // nil: open, or closed at once
	token     flushToken
	pingAgain bool // a ping was asked for meanwhile
	cut       bool // the outbox holds what a close lets through, and the close frame
	shut      bool // everything is written and the write side closed
	eof       bool // the peer's write side is closed
	buried    bool // gone from the reader's side: the token's holder hangs up
	reset     bool // the peer takes nothing: what the kernel holds for it is dropped

	turn, index int32 // where the shard keeps it; guarded by the shard's lock
}

// farewell is a close under way.
type farewell struct {
	code protocol.CloseCode
	why  string
	at   time.Duration // when it began
}

var (
	_ session.Socket = (*conn)(nil)
	_ sink           = (*conn)(nil)
)

// prepare readies a conn that has its place in Server.open.
func (c *conn) prepare(s *Server, drv driver, adm slot, packed bool) {
	c.srv, c.drv, c.slot = s, drv, adm
	c.shard = s.roster.pick()
	c.since, c.packed = s.now(), packed
	c.in.limit, c.in.deflate, c.in.buffers = s.cfg.LoginPayload, packed, &s.buffers
	c.meter = newMeter(&s.cfg, s.now())
	c.login.Store(true)
	c.heard.Store(int64(s.now()))
	c.shard.add(c)
	c.watch()
}

// open makes the engine's end. The reader must be woken after it.
func (c *conn) open() {
	defer c.opened.Store(true)
	defer c.rescue()
	c.peer = closedPeer{}
	c.peer = c.srv.engine.Open(c, c.slot.addr)
}

// closedPeer stands in where the engine failed to open one.
type closedPeer struct{}

func (closedPeer) Text([]byte) bool   { return false }
func (closedPeer) Binary([]byte) bool { return false }
func (closedPeer) Rest()              {}
func (closedPeer) Alive(time.Time)    {}
func (closedPeer) Ready() bool        { return false }
func (closedPeer) Closed()            {}

// Send queues p. See session.Socket.
func (c *conn) Send(l session.Lane, p *session.Packet) bool { return c.send(l, p, nil) }

// SendChunk queues p on the lane of files. See session.Socket.
func (c *conn) SendChunk(p *session.Packet, sent func()) bool {
	return c.send(session.LaneFile, p, sent)
}

// wire is p as this connection gets it; it is made once a packet.
func (c *conn) wire(p *session.Packet) []byte {
	if c.packed {
		return c.srv.deflater.framed(p)
	}
	return framed(p)
}

func (c *conn) send(l session.Lane, p *session.Packet, sent func()) bool {
	wire := c.wire(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Load() != stateOpen {
		return false
	}
	if c.out == nil {
		c.out = c.srv.takeOutbox()
	}
	if !c.out.room(l, len(wire), &c.srv.cfg) {
		return false
	}
	c.queue(l, entry{wire: wire, sent: sent})
	return true
}

// SendAll queues packets. See session.Socket.
func (c *conn) SendAll(l session.Lane, r *session.Run, from, to int) (queued int) {
	whole := !c.packed && joined(r)
	if !whole {
		for _, p := range r.Packets[from:to] {
			c.wire(p) // whoever is first does the work before it takes the lock
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Load() != stateOpen {
		return 0
	}
	if c.out == nil {
		c.out = c.srv.takeOutbox()
	}
	before := c.out.bytes[l]
	if whole {
		queued = c.out.pushRun(l, r, from, to, &c.srv.cfg)
	} else {
		for _, p := range r.Packets[from:to] {
			wire := c.wire(p)
			if !c.out.room(l, len(wire), &c.srv.cfg) {
				break
			}
			c.out.push(l, entry{wire: wire})
			queued++
		}
	}
	if queued > 0 {
		c.shard.count.outbox.Add(int64(c.out.bytes[l] - before))
		c.needFlush()
	}
	return queued
}

// Ping asks the peer for a pong. While one is awaited, the next ping goes out right after it: so no ping is taken
// for an older one's answer, and a dead peer's queue holds one.
func (c *conn) Ping() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Load() != stateOpen {
		return
	}
	if c.pinged != 0 {
		c.pingAgain = true
		return
	}
	c.ping()
}

func (c *conn) ping() {
	c.pinged = c.srv.now()
	var id [8]byte
	binary.BigEndian.PutUint64(id[:], uint64(c.pinged))
	c.queue(session.LaneControl, entry{wire: controlFrame(ws.OpPing, id[:]), kind: kindPing})
	c.out.pings++
	c.watch()
}

// Resume goes on with reading. See session.Socket.
func (c *conn) Resume() {
	for {
		g := c.gate.Load()
		if g > 0 {
			return
		}
		if c.gate.CompareAndSwap(g, g+1) {
			if g < 0 {
				c.drv.wakeReader()
			}
			return
		}
	}
}

// Close begins an orderly close. See session.Socket.
func (c *conn) Close(code protocol.CloseCode, reason string) {
	c.close(causeOf(code), code, reason)
}

func (c *conn) close(why cause, code protocol.CloseCode, text string) {
	c.mu.Lock()
	if c.state.Load() != stateOpen {
		c.mu.Unlock()
		return
	}
	c.state.Store(stateClosing)
	c.bye = &farewell{code, text, c.srv.now()}
	c.shard.count.closed[why].Add(1)
	c.needFlush()
	c.watch()
	c.mu.Unlock()
	c.drv.wakeReader()
	c.srv.cfg.Logger.Debug("closing a connection", slog.String("reason", causeNames[why]), slog.Int("code", int(code)))
}

// abort ends the connection without another word.
func (c *conn) abort(why cause) {
	c.mu.Lock()
	was := c.state.Load()
	if was == stateClosed {
		c.mu.Unlock()
		return
	}
	if was == stateOpen {
		c.shard.count.closed[why].Add(1)
	}
	c.state.Store(stateClosed)
	c.mu.Unlock()
	c.drv.wakeReader()
}

// settle stops counting the connection as pending.
func (c *conn) settle() {
	if c.login.CompareAndSwap(true, false) {
		c.srv.pending.Add(-1)
	}
}

// rescue keeps a panic inside its connection. Deferred directly.
func (c *conn) rescue() {
	r := recover()
	if r == nil {
		return
	}
	// Only a runtime error's text is known to hold nothing of the frame.
	text := "panic"
	if err, ok := r.(runtime.Error); ok {
		text = err.Error()
	}
	c.srv.cfg.Logger.Error("connection panicked", slog.String("error", text), slog.String("stack", string(debug.Stack())))
	c.close(causePanic, closeInternal, "internal error")
}
