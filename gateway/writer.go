package gateway

import (
	"github.com/fastport/fastport/session"
)

// Flushing is a token: only its holder touches the queued frames and writes to the socket.
type flushToken uint8

const (
	tokenFree    flushToken = iota
	tokenHeld               // by whoever flushes, or has the conn on its list to do so
	tokenBlocked            // waits for the socket to be writable
)

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

// bury lets go of what was queued, and of the socket. Called once, by the reader or the flush token's holder.
func (c *conn) bury() {
	c.mu.Lock()
	out, reset := c.out, c.reset
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
	c.drv.hangUp(reset)
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

// lastFrames leaves what a close lets through: the frame that is half written, and what was joined to it, responses,
// acks, the close frame.
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
	frame := closeFrame(c.bye.code, c.bye.why)
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
	before, pings := c.out.total(), c.out.pings
	frames := c.out.drop(b, n)
	c.shard.count.outbox.Add(int64(c.out.total() - before))
	c.moved = c.srv.now()
	if c.out.pings < pings {
		c.pingedOut = c.moved
	}
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
