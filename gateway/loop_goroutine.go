package gateway

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

const (
	loopBuffer = 4 << 10  // of an idle connection's read
	loopWrite  = 64 << 10 // in one write, so that progress shows
)

// loopConn is a connection with a goroutine that reads, and one that writes while there is something to write.
type loopConn struct {
	conn
	nc   net.Conn // TLS or plain
	raw  net.Conn // the socket
	wake chan struct{}
}

var past = time.Unix(1, 0)

// adoptLoop makes a connection that is read by a goroutine.
func (s *Server) adoptLoop(nc, raw net.Conn, sl slot, early []byte, packed bool) *conn {
	c := &loopConn{nc: nc, raw: raw, wake: make(chan struct{}, 1)}
	c.prepare(s, c, sl, packed)
	s.tasks.Go(func() { c.run(early) })
	return &c.conn
}

func (c *loopConn) run(early []byte) {
	c.open()
	c.paused, c.backlog = true, early
	buf := make([]byte, loopBuffer)
	for c.step(); !c.ended; c.step() {
		if c.paused || c.eof {
			<-c.wake
			continue
		}
		n, err := c.read(buf)
		switch {
		case err == nil, n > 0:
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.awake()
		case errors.Is(err, io.EOF):
			c.inputEnded()
		default:
			c.abort(causeLost)
		}
	}
}

// read reads once into buf and, where that is full, goes on with a large buffer: idle connections have only buf.
func (c *loopConn) read(buf []byte) (n int, err error) {
	n, err = c.nc.Read(buf)
	if n > 0 {
		c.input(buf[:n])
	}
	if n < len(buf) {
		return n, err
	}
	large := c.srv.buffers.take()[:pooledBuffer]
	defer c.srv.buffers.give(large)
	for err == nil && n >= loopBuffer && !c.paused && !c.ended {
		if n, err = c.nc.Read(large); n > 0 {
			c.input(large[:n])
		}
		c.step()
	}
	return n, err
}

// awake makes reading possible again after wakeReader.
func (c *loopConn) awake() {
	c.raw.SetReadDeadline(time.Time{})
	if c.state.Load() == stateClosed {
		c.raw.SetReadDeadline(past) // it was closed between the two
	}
}

func (c *loopConn) write() {
	b, ok := c.srv.batches.Get().(*batch)
	if !ok {
		b = newBatch()
	}
	defer c.srv.batches.Put(b)
	for c.next(b) {
		c.watch()
		part := b.parts[0]
		n, err := c.nc.Write(part[:min(len(part), loopWrite)])
		c.wrote(b, n)
		if err != nil {
			c.abort(causeLost)
		}
	}
}

func (c *loopConn) flushSoon() { c.srv.tasks.Go(c.write) }

func (c *loopConn) wantWrite(bool) {}

func (c *loopConn) wakeReader() {
	c.raw.SetReadDeadline(past)
	if c.state.Load() == stateClosed {
		c.raw.SetWriteDeadline(past)
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *loopConn) line() (line, bool) { return lineOfConn(c.raw) }

func (c *loopConn) halfClose() {
	type halfCloser interface{ CloseWrite() error }
	if h, ok := c.nc.(halfCloser); ok {
		h.CloseWrite()
	}
	if h, ok := c.raw.(halfCloser); ok && c.raw != c.nc {
		h.CloseWrite()
	}
}

func (c *loopConn) hangUp(reset bool) {
	if tcp, ok := c.raw.(*net.TCPConn); ok && reset {
		tcp.SetLinger(0)
	}
	c.raw.Close()
}
