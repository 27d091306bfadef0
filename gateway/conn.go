package gateway

import (
	"encoding/binary"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

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
	// halfClose ends the write side.
	halfClose()
	// hangUp closes the socket. Called once, when nobody reads or writes any more.
	hangUp()
}

// A conn is open until somebody closes it; closing while its last frames, close frame and the peer's last bytes pass;
// then closed. It may go from open to closed at once.
const (
	stateOpen uint32 = iota
	stateClosing
	stateClosed
)

// Flushing is a token: only its holder touches the queued frames and writes to the socket.
type flushToken uint8

const (
	tokenFree    flushToken = iota
	tokenHeld               // by whoever flushes, or has the conn on its list to do so
	tokenBlocked            // waits for the socket to be writable
)

// conn is one WebSocket connection: the engine's Socket, the parser's sink.
type conn struct {
	srv   *Server
	drv   driver
	peer  session.Peer // set before opened
	shard *shard
	slot  slot

	since  time.Duration // when it was upgraded
	packed bool          // permessage-deflate was agreed upon

	opened  atomic.Bool
	state   atomic.Uint32 // written under mu
	gate    atomic.Int32  // -1: reading waits for Resume; 1: Resume came before the wait
	login   atomic.Bool   // counted as pending: not logged in yet
	watched atomic.Bool   // on the shard's list of those to look at each tick
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

	mu    sync.Mutex // guards the following
	token flushToken
	out   *outbox       // nil while nothing waits
	moved time.Duration // when the kernel took bytes last, or the first began to wait for it

	pinged    time.Duration // when the ping went into the queue that no pong has come to; 0: none
	pingAgain bool          // a ping was asked for meanwhile

	code      protocol.CloseCode
	why       string
	closingAt time.Duration
	cut       bool // the outbox holds what a close lets through, and the close frame
	shut      bool // everything is written and the write side closed
	eof       bool // the peer's write side is closed
	buried    bool // gone from the reader's side: the token's holder hangs up

	turn, index int32 // where the shard keeps it; guarded by the shard's lock
}

var (
	_ session.Socket = (*conn)(nil)
	_ sink           = (*conn)(nil)
)

// init readies a conn that has its place in Server.open.
func (c *conn) init(s *Server, drv driver, adm slot, packed bool) {
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
func (closedPeer) Alive(time.Time)    {}
func (closedPeer) Ready() bool        { return false }
func (closedPeer) Closed()            {}

// Send queues p. See session.Socket.
func (c *conn) Send(l session.Lane, p *session.Packet) bool { return c.send(l, p, nil) }

// SendChunk queues p on the lane of files. See session.Socket.
func (c *conn) SendChunk(p *session.Packet, sent func()) bool {
	return c.send(session.LaneFile, p, sent)
}

func (c *conn) send(l session.Lane, p *session.Packet, sent func()) bool {
	wire := framed(p)
	if c.packed {
		wire = c.srv.deflater.framed(p)
	}
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

// queue puts e on a lane and sees to its flush. Called under mu.
func (c *conn) queue(l session.Lane, e entry) {
	if c.out == nil {
		c.out = c.srv.takeOutbox()
	}
	c.out.push(l, e)
	c.shard.count.outbox.Add(int64(len(e.wire)))
	c.needFlush()
}

func (c *conn) needFlush() {
	if c.token == tokenFree {
		c.token = tokenHeld
		c.moved = c.srv.now()
		c.drv.flushSoon()
	}
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
	c.queue(session.LaneControl, entry{wire: controlFrame(ws.OpPing, id[:])})
	c.watch()
}

// ponged takes a pong. Only the answer to the ping that is awaited counts.
func (c *conn) ponged(payload []byte) {
	c.mu.Lock()
	at := c.pinged
	if at == 0 || len(payload) != 8 || binary.BigEndian.Uint64(payload) != uint64(at) {
		c.mu.Unlock()
		return
	}
	c.pinged = 0
	if c.pingAgain && c.state.Load() == stateOpen {
		c.pingAgain = false
		c.ping()
	}
	c.mu.Unlock()
	c.peer.Alive(c.srv.start.Add(at))
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
func (c *conn) Close(code protocol.CloseCode, reason string) { c.close(causeEngine, code, reason) }

func (c *conn) close(why cause, code protocol.CloseCode, text string) {
	c.mu.Lock()
	if c.state.Load() != stateOpen {
		c.mu.Unlock()
		return
	}
	c.state.Store(stateClosing)
	c.code, c.why, c.closingAt = code, text, c.srv.now()
	c.shard.count.closed[why].Add(1)
	c.needFlush()
	c.watch()
	c.mu.Unlock()
	c.drv.wakeReader()
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

// input takes bytes from the socket. Called by the reader, which may use data again afterwards.
func (c *conn) input(data []byte) {
	defer c.rescue()
	now := c.srv.now()
	c.heard.Store(int64(now))
	c.shard.count.bytesIn.Add(uint64(len(data)))
	if c.state.Load() != stateOpen {
		return // a closing connection's input is discarded
	}
	if c.meter != nil && !c.meter.spend(0, len(data), now) {
		c.close(causeRate, protocol.CloseRateLimited, "too many bytes a second")
		return
	}
	c.parse(data, now)
}

func (c *conn) parse(data []byte, now time.Duration) {
	c.admit()
	rest, v, err := c.in.feed(data, c)
	switch {
	case err != nil:
		why := causeProtocol
		if err.code == protocol.CloseTooLarge {
			why = causeTooLarge
		}
		c.close(why, err.code, err.why)
	case v == pause:
		c.paused, c.backlog = true, append([]byte(nil), rest...)
	}
	c.noteHalf(len(data), now)
}

// noteHalf keeps account of an unfinished message, for the tick to judge its progress.
func (c *conn) noteHalf(came int, now time.Duration) {
	_, half := c.in.unfinished()
	switch {
	case !half || c.paused:
		c.half.Store(0)
	case c.half.Load() == 0:
		c.halfN.Store(0)
		c.half.Store(int64(now))
		c.watch()
	default:
		c.halfN.Add(int64(came))
	}
}

// input's end of stream: the peer has closed its write side, orderly or not.
func (c *conn) inputEnded() {
	c.mu.Lock()
	c.eof = true
	// Its close frame may have come just before: then ours still goes out.
	wait := c.state.Load() == stateClosing && !c.shut
	c.mu.Unlock()
	if !wait {
		c.abort(causeLost)
	}
}

// step does what the reader has to do besides reading: end what was closed, go on after Resume.
func (c *conn) step() {
	if !c.opened.Load() || c.ended {
		return
	}
	defer c.rescue()
	state := c.state.Load()
	if state != stateOpen && !c.told {
		c.told, c.backlog, c.paused = true, nil, false
		c.in = parser{}
		c.half.Store(0)
		defer c.end() // even if Closed panics
		c.peer.Closed()
		return
	}
	c.end()
	if c.paused && c.gate.Load() >= 0 && state == stateOpen {
		data := c.backlog
		c.paused, c.backlog = false, nil
		c.parse(data, c.srv.now())
	}
}

// end gives a closed connection back to the server. Called by the reader.
func (c *conn) end() {
	if c.state.Load() != stateClosed || c.ended || !c.told {
		return
	}
	c.ended = true
	c.settle()
	c.shard.remove(c)
	c.mu.Lock()
	c.buried = true
	free := c.token != tokenHeld
	c.mu.Unlock()
	if free {
		c.bury()
	}
}

// bury lets go of what was queued, and of the socket. Called once, by the reader or the flush token's holder.
func (c *conn) bury() {
	c.mu.Lock()
	out := c.out
	c.out = nil
	c.mu.Unlock()
	if out != nil {
		var sent []func()
		left := out.total()
		if out.head.sent != nil {
			sent = append(sent, out.head.sent)
		}
		for l := range out.lanes {
			sent = out.discard(session.Lane(l), sent)
		}
		c.shard.count.outbox.Add(-int64(left))
		c.call(sent)
	}
	c.drv.hangUp()
	c.srv.gone(c)
}

// call runs callbacks of the engine. Called without locks.
func (c *conn) call(sent []func()) {
	for _, f := range sent {
		func() {
			defer c.rescue()
			f()
		}()
	}
}

// next fills b with what is to be written. False gives the flush token back: nothing is left, or the connection is
// over. Called by the token's holder.
func (c *conn) next(b *batch) bool {
	c.mu.Lock()
	state := c.state.Load()
	if state == stateClosed {
		c.token = tokenFree
		last := c.buried
		c.mu.Unlock()
		if last {
			c.bury()
		}
		return false
	}
	if state == stateClosing && !c.cut {
		c.lastFrames(b)
	}
	if c.out != nil && !c.out.empty() {
		c.out.fill(b)
		c.mu.Unlock()
		c.call(b.takeSent())
		return true
	}
	c.srv.giveOutbox(c.out)
	c.out = nil
	c.token = tokenFree
	c.drv.wantWrite(false)
	finish := state == stateClosing && !c.shut
	c.mu.Unlock()
	c.call(b.takeSent())
	if finish {
		c.finishClose()
	}
	return false
}

// lastFrames leaves what a close lets through: the frame that is half written, responses, acks, the close frame.
func (c *conn) lastFrames(b *batch) {
	c.cut = true
	if c.out == nil {
		c.out = c.srv.takeOutbox()
	}
	for _, l := range []session.Lane{session.LaneMessage, session.LaneFile} {
		c.shard.count.outbox.Add(-int64(c.out.bytes[l]))
		b.sent = c.out.discard(l, b.sent)
	}
	c.out.pong = nil // nothing follows a close frame
	frame := closeFrame(c.code, c.why)
	c.out.push(session.LaneFile, entry{wire: frame})
	c.shard.count.outbox.Add(int64(len(frame)))
}

// finishClose follows the close frame: the write side ends, and what the peer still sends is discarded until it ends
// too. Closing at once would reset the connection, and the reset eats the close frame.
func (c *conn) finishClose() {
	c.drv.halfClose()
	c.mu.Lock()
	c.shut = true
	eof := c.eof
	c.mu.Unlock()
	if eof {
		c.abort(causeLost)
	}
}

// wrote takes the n bytes off the queue that the socket took of b. Called by the token's holder.
func (c *conn) wrote(b *batch, n int) {
	if n <= 0 {
		return
	}
	c.mu.Lock()
	before := c.out.total()
	frames := c.out.drop(b, n)
	c.shard.count.outbox.Add(int64(c.out.total() - before))
	c.moved = c.srv.now()
	c.mu.Unlock()
	c.shard.count.bytesOut.Add(uint64(n))
	c.shard.count.framesOut.Add(uint64(frames))
	c.call(b.takeSent())
}

// block gives the token to the socket: whoever learns that it is writable takes it by unblock.
func (c *conn) block() {
	c.mu.Lock()
	if c.state.Load() != stateClosed {
		c.token = tokenBlocked
		c.drv.wantWrite(true)
		c.watch()
		c.mu.Unlock()
		return
	}
	c.token = tokenFree
	last := c.buried
	c.mu.Unlock()
	if last {
		c.bury()
	}
}

func (c *conn) unblock() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != tokenBlocked {
		return false
	}
	c.token = tokenHeld
	return true
}

// frame counts a frame that begins to arrive.
func (c *conn) frame() bool {
	c.shard.count.framesIn.Add(1)
	if c.meter != nil && !c.meter.spend(1, 0, c.srv.now()) {
		c.close(causeRate, protocol.CloseRateLimited, "too many frames a second")
		return false
	}
	return true
}

var (
	errBadText   = &violation{protocol.CloseBadText, "text is not UTF-8"}
	errBadPacked = &violation{protocol.CloseBadText, "compressed message is damaged"}
	errBadClose  = &violation{protocol.CloseBadFrame, "close frame is malformed"}
)

// message hands a whole message to the peer.
func (c *conn) message(op ws.OpCode, packed bool, payload []byte) (verdict, *violation) {
	if packed {
		plain, err := c.srv.deflater.inflate(payload, c.in.limit)
		if err != nil {
			return stop, err
		}
		defer c.srv.buffers.give(plain)
		payload = plain
	}
	c.half.Store(0) // the next one's time begins with it
	var wait bool
	if op == ws.OpText {
		if !utf8.Valid(payload) {
			return stop, errBadText
		}
		wait = c.peer.Text(payload)
	} else {
		wait = c.peer.Binary(payload)
	}
	c.admit()
	switch {
	case c.state.Load() != stateOpen:
		return stop, nil
	case wait && c.gate.Add(-1) < 0:
		return pause, nil
	}
	return proceed, nil
}

// control answers pings and close frames, and takes pongs.
func (c *conn) control(op ws.OpCode, payload []byte) (verdict, *violation) {
	switch op {
	case ws.OpPing:
		c.pong(payload)
	case ws.OpPong:
		c.ponged(payload)
	case ws.OpClose:
		return stop, c.peerCloses(payload)
	}
	if c.state.Load() != stateOpen {
		return stop, nil
	}
	return proceed, nil
}

func (c *conn) pong(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Load() != stateOpen {
		return
	}
	if c.out == nil {
		c.out = c.srv.takeOutbox()
	}
	before := c.out.total()
	c.out.answer(payload)
	c.shard.count.outbox.Add(int64(c.out.total() - before))
	c.needFlush()
}

func (c *conn) peerCloses(payload []byte) *violation {
	if len(payload) == 0 {
		c.close(causePeer, closeEmpty, "")
		return nil
	}
	if len(payload) == 1 {
		return errBadClose
	}
	code, text := ws.StatusCode(binary.BigEndian.Uint16(payload)), payload[2:]
	if !utf8.Valid(text) {
		return errBadText
	}
	// What may not be sent, what RFC 6455 leaves undefined below 3000, and what lies outside of all ranges.
	if code < 1000 || code >= 1004 && code <= 1006 || code > 1014 && code < 3000 || code > 4999 {
		return errBadClose
	}
	c.close(causePeer, protocol.CloseCode(code), "")
	return nil
}

// admit lifts the limits of those who have not logged in. Called by the reader.
func (c *conn) admit() {
	if (c.login.Load() || c.in.limit < c.srv.cfg.MaxPayload) && c.peer.Ready() {
		c.in.limit = c.srv.cfg.MaxPayload
		c.settle()
	}
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
