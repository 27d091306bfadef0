package gateway

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// pollConn is a connection that a poller serves.
type pollConn struct {
	conn
	p        *poller
	door     *pollDoor // not nil: it is being greeted; set by the reader, under p.mu
	fd       int
	gen      int32  // 0: epoll does not know it yet; guarded by conn.mu
	interest uint32 // as epoll knows it; guarded by conn.mu
	place    int32  // among those that are greeted; guarded by p.mu
	deaf     bool   // reading is off; set by the reader, under conn.mu
	writable bool   // epoll tells when the socket is; guarded by conn.mu
	posted   bool   // on tasks; guarded by p.mu
}

// adoptPolled makes a connection that a poller reads; nil where there are no pollers.
func (s *Server) adoptPolled(nc, raw net.Conn, sl slot, early []byte, packed bool) *conn {
	sc, ok := raw.(syscall.Conn)
	if len(s.pollers) == 0 || nc == nil || !ok {
		return nil
	}
	fd, err := takeOver(sc)
	if err != nil {
		return nil
	}
	raw.Close()
	p := s.nextPoller()
	c := &pollConn{p: p, fd: fd}
	c.prepare(s, c, sl, packed)
	c.paused, c.backlog = true, early
	c.open()
	if p.add(c) != nil {
		c.abort(causeLost)
	}
	c.wakeReader()
	return &c.conn
}

func (s *Server) nextPoller() *poller { return s.pollers[s.nextPoll.Add(1)%uint32(len(s.pollers))] }

// takeOver duplicates the socket's descriptor: when its net.Conn is closed, Go's own poller forgets it.
func takeOver(sc syscall.Conn) (fd int, err error) {
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	ctlErr := raw.Control(func(old uintptr) {
		fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if ctlErr != nil || err != nil {
		return -1, errors.Join(ctlErr, err)
	}
	return fd, nil
}

func (c *pollConn) control(op int) error {
	ev := unix.EpollEvent{Events: c.interest, Fd: int32(c.fd), Pad: c.gen}
	return unix.EpollCtl(c.p.epoll, op, c.fd, &ev)
}

// handle takes the events of one connection. Called by run.
func (c *pollConn) handle(events uint32) {
	if c.ended {
		return
	}
	if c.door != nil {
		c.hello()
		return
	}
	if events&unix.EPOLLOUT != 0 && c.unblock() {
		c.flush(c.p.batch)
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) == 0 {
		return
	}
	if !c.paused && !c.deaf {
		c.read()
		return
	}
	if events&(unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		c.abort(causeLost) // epoll would tell it again and again
		return
	}
	// Only now, not when the pause began: mostly it is over before more data comes.
	c.hear(false)
}

// hear switches reading.
func (c *pollConn) hear(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deaf = !on
	c.setInterest()
}

// listen goes on reading when a pause is over.
func (c *pollConn) listen() {
	if c.deaf && !c.paused && !c.ended && !c.eof {
		c.hear(true)
	}
}

func (c *pollConn) setInterest() {
	want := uint32(0)
	if !c.deaf {
		want |= unix.EPOLLIN
	}
	if c.writable {
		want |= unix.EPOLLOUT
	}
	if want != c.interest && c.gen != 0 {
		c.interest = want
		c.control(unix.EPOLL_CTL_MOD)
	}
}

func (c *pollConn) read() {
	buf := c.p.buf
	for range pollReads {
		n, err := unix.Read(c.fd, buf)
		switch {
		case n > 0:
			c.input(buf[:n])
		case err == unix.EAGAIN || err == unix.EINTR:
			return
		case err == nil:
			c.hear(false)
			c.inputEnded()
			return
		default:
			c.abort(causeLost)
			return
		}
		if n < len(buf) || c.paused {
			return
		}
	}
}

// flush writes until nothing is left, the socket takes no more, or it is others' turn. The caller holds the token.
func (c *pollConn) flush(b *batch) {
	for written := 0; c.next(b); {
		n, err := c.write(b.parts)
		c.wrote(b, n)
		switch {
		case err == unix.EAGAIN || err == nil && n < b.total:
			c.block()
			return
		case err != nil:
			c.abort(causeLost)
		default:
			if written += n; written >= flushBytes {
				c.flushSoon()
				return
			}
		}
	}
}

func (c *pollConn) write(parts [][]byte) (n int, err error) {
	for {
		if len(parts) == 1 {
			n, err = unix.Write(c.fd, parts[0])
		} else {
			n, err = unix.Writev(c.fd, parts)
		}
		if err != unix.EINTR {
			return n, err
		}
	}
}

func (c *pollConn) flushSoon() {
	p := c.p
	p.mu.Lock()
	p.dirty = append(p.dirty, c)
	// A poller at work looks at every list when its round is over; p.mu orders that with this.
	wake := !p.busy && len(p.dirty) == 1 && p.srv.rounds.Load() == 0
	p.mu.Unlock()
	if wake {
		p.wakeFlusher()
	}
}

func (c *pollConn) wantWrite(on bool) {
	if c.writable != on {
		c.writable = on
		c.setInterest()
	}
}

func (c *pollConn) wakeReader() {
	p := c.p
	p.mu.Lock()
	wake := false
	if !c.posted {
		c.posted = true
		p.tasks = append(p.tasks, c)
		wake = !p.busy && len(p.tasks) == 1
	}
	p.mu.Unlock()
	if wake {
		p.ring()
	}
}

func (c *pollConn) line() (line, bool) { return lineOf(c.fd) }

func (c *pollConn) halfClose() { unix.Shutdown(c.fd, unix.SHUT_WR) }

func (c *pollConn) hangUp(reset bool) {
	c.p.forget(c)
	if reset {
		unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	unix.Close(c.fd)
}
