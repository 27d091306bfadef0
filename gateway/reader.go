package gateway

import (
	"encoding/binary"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
)

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
	if len(data) > 0 {
		c.peer.Rest()
	}
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
