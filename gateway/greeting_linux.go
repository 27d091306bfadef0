package gateway

import (
	"bytes"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fastport/fastport/protocol"
)

// A pollConn that a pollDoor accepted is greeted first: the poller reads until it is known what the connection is, and
// then it is a WebSocket, or net/http's, or closed. What came so far is its backlog. Nobody but its poller, and the
// lists that find it there, knows of it until then.

// answerSize holds the answer to a handshake, mostly.
const answerSize = 256

// greet begins with a connection that was just accepted. Called by its door.
func (p *poller) greet(c *pollConn) {
	p.mu.Lock()
	c.place = int32(len(p.greeted))
	p.greeted = append(p.greeted, c)
	p.mu.Unlock()
	p.add(c) // one that epoll does not take is closed as late
}

// nudge has the poller look again at those it greets which match.
func (p *poller) nudge(match func(*pollConn) bool) {
	var found []*pollConn
	p.mu.Lock()
	for _, c := range p.greeted {
		if match(c) {
			found = append(found, c)
		}
	}
	p.mu.Unlock()
	for _, c := range found {
		c.wakeReader()
	}
}

// late has the poller close those that have not said in time what they are.
func (p *poller) late(now time.Duration) {
	p.nudge(func(c *pollConn) bool { return now-c.since >= p.srv.cfg.HeaderTimeout })
}

// hello reads what came of the first bytes.
func (c *pollConn) hello() {
	n, err := unix.Read(c.fd, c.p.buf)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil, n == 0 && len(c.backlog) == 0:
		c.drop()
		return
	case n == 0:
		c.handOver(c.backlog) // half a head is all there is
		return
	}
	data, old := c.p.buf[:n], len(c.backlog)
	if old > 0 {
		c.backlog = append(c.backlog, data...)
		data = c.backlog
	}
	h, end, what := readHead(data, old)
	switch {
	case what == openingShort && old == 0:
		c.backlog = bytes.Clone(data)
	case what == openingShort:
	case what == openingUpgrade && c.welcome(&h, data[end:]):
	default:
		c.handOver(data)
	}
}

// hurry ends a greeting that is late, or whose door is closed.
func (c *pollConn) hurry() {
	switch {
	case c.door.ended.Load():
		c.handOver(c.backlog)
	case c.srv.now()-c.since >= c.srv.cfg.HeaderTimeout:
		c.drop()
	}
}

// welcome makes the connection a WebSocket; early is what came behind the handshake. False: a limit refuses it.
func (c *pollConn) welcome(h *handshake, early []byte) bool {
	s := c.srv
	if _, ok := s.admit(h, &c.slot); !ok {
		return false
	}
	answer, packed := h.accept(make([]byte, 0, answerSize), s.cfg.Compression)
	if n, _ := unix.Write(c.fd, answer); n < len(answer) { // a fresh socket takes as much as that
		s.reject(rejectHandshake)
		s.leave()
		c.drop()
		return true
	}
	c.backlog = nil
	c.greeted()
	c.prepare(s, c, c.slot, packed)
	c.open()
	if s.draining.Load() {
		c.close(causeDrain, protocol.CloseDraining, "this node is going")
	}
	if len(early) > 0 {
		c.input(early)
	}
	return true
}

// greeted takes the connection off its poller's list of those that are greeted.
func (c *pollConn) greeted() {
	p, door := c.p, c.door
	p.mu.Lock()
	last := p.greeted[len(p.greeted)-1]
	p.greeted[c.place], last.place = last, c.place
	p.greeted[len(p.greeted)-1] = nil
	p.greeted = p.greeted[:len(p.greeted)-1]
	c.door = nil
	p.mu.Unlock()
	door.greeting.Done()
}

// drop closes the socket.
func (c *pollConn) drop() {
	c.ended = true
	c.hangUp(false)
	c.srv.dismissed(&c.slot)
	c.greeted()
}

// handOver gives the connection to net/http, with what was read of it.
func (c *pollConn) handOver(data []byte) {
	c.ended = true
	unix.EpollCtl(c.p.epoll, unix.EPOLL_CTL_DEL, c.fd, nil)
	c.p.forget(c)
	c.door.other <- handover{c.fd, c.slot, bytes.Clone(data), c.since}
	c.greeted()
}
