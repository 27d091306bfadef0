package gateway

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	pollBuffer   = 64 << 10 // one read
	pollReads    = 4        // of one connection before others have their turn
	pollEvents   = 128      // taken at once
	flushEvery   = 16       // events before what they queued is written
	settleRounds = 2        // of tasks and flushes before new events are looked at
)

// poller owns a share of the sockets: the goroutine in run reads them all, into one buffer.
//
// The epoll descriptor is itself watched by the Go runtime's poller, so that run waits like any goroutine and no
// thread sleeps in epoll_wait. What other goroutines want of it comes by two lists: tasks for the reader, which wake
// it, and dirty connections, which the flusher writes unless run is at work and gets to it first.
type poller struct {
	srv   *Server
	epoll int
	file  *os.File // epoll, as the runtime watches it
	raw   syscall.RawConn
	bell  int           // an eventfd: wakes run
	kick  chan struct{} // wakes flusher
	done  chan struct{}

	// Owned by run.
	events []unix.EpollEvent
	ready  int
	conns  [pollEvents]*pollConn
	buf    []byte
	batch  *batch
	poll   func(fd uintptr) bool

	mu    sync.Mutex // guards the following
	table []*pollConn
	gen   int32
	busy  bool // run is at work, and looks at the lists before it sleeps
	tasks []*pollConn
	dirty []*pollConn
	spare [2][]*pollConn // emptied lists, for their arrays
}

// pollConn is a connection that a poller serves.
type pollConn struct {
	conn
	p        *poller
	fd       int
	gen      int32  // 0: epoll does not know it yet; guarded by conn.mu
	deaf     bool   // reading is off; set by the reader, under conn.mu
	writable bool   // epoll tells when the socket is; guarded by conn.mu
	interest uint32 // as epoll knows it; guarded by conn.mu
	posted   bool   // on tasks; guarded by p.mu
}

func newPollers(s *Server, n int) (ps []*poller, err error) {
	for range n {
		p, err := newPoller(s)
		if err != nil {
			for _, p := range ps {
				p.close()
				p.free()
			}
			return nil, fmt.Errorf("gateway: epoll: %w", err)
		}
		ps = append(ps, p)
	}
	return ps, nil
}

func newPoller(s *Server) (*poller, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	// The runtime watches only descriptors that do not block.
	if err := unix.SetNonblock(ep, true); err != nil {
		unix.Close(ep)
		return nil, err
	}
	p := &poller{
		srv: s, epoll: ep, file: os.NewFile(uintptr(ep), "epoll"), bell: -1,
		kick: make(chan struct{}, 1), done: make(chan struct{}),
		events: make([]unix.EpollEvent, pollEvents), buf: make([]byte, pollBuffer), batch: newBatch(),
	}
	if p.raw, err = p.file.SyscallConn(); err == nil {
		p.bell, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	}
	if err == nil {
		// Edge-triggered: each ring is one event, and nobody has to read the counter.
		err = unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, p.bell, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: -1})
	}
	if err != nil {
		p.close()
		p.free()
		return nil, err
	}
	p.poll = func(fd uintptr) bool {
		n, err := unix.EpollWait(int(fd), p.events, 0)
		p.ready = max(n, 0)
		return n > 0 || err != nil
	}
	return p, nil
}

// close ends run and flusher.
func (p *poller) close() {
	p.file.Close()
	close(p.done)
}

// free closes what others may still have rung. Called when run and flusher have ended and no connections are left.
func (p *poller) free() {
	if p.bell >= 0 {
		unix.Close(p.bell)
	}
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
	p := s.pollers[s.nextPoll.Add(1)%uint32(len(s.pollers))]
	c := &pollConn{p: p, fd: fd}
	c.init(s, c, sl, packed)
	c.paused, c.backlog = true, early
	c.open()
	p.add(c)
	return &c.conn
}

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

func (p *poller) add(c *pollConn) {
	c.mu.Lock()
	p.mu.Lock()
	p.gen++
	c.gen = p.gen
	for len(p.table) <= c.fd {
		p.table = append(p.table, nil)
	}
	p.table[c.fd] = c
	p.mu.Unlock()
	c.interest = unix.EPOLLIN
	if c.writable {
		c.interest |= unix.EPOLLOUT
	}
	err := c.control(unix.EPOLL_CTL_ADD)
	c.mu.Unlock()
	if err != nil {
		c.abort(causeLost)
	}
	c.wakeReader()
}

func (c *pollConn) control(op int) error {
	ev := unix.EpollEvent{Events: c.interest, Fd: int32(c.fd), Pad: c.gen}
	return unix.EpollCtl(c.p.epoll, op, c.fd, &ev)
}

// run serves the sockets until close.
func (p *poller) run() {
	for {
		p.ready = 0
		if err := p.raw.Read(p.poll); err != nil {
			return
		}
		p.mu.Lock()
		p.busy = true
		for i, ev := range p.events[:p.ready] {
			p.conns[i] = nil
			// Another connection may have the number of one that was closed since.
			if fd := int(ev.Fd); fd >= 0 && fd < len(p.table) {
				if c := p.table[fd]; c != nil && c.gen == ev.Pad {
					p.conns[i] = c
				}
			}
		}
		p.mu.Unlock()
		for i, ev := range p.events[:p.ready] {
			if c := p.conns[i]; c != nil {
				c.handle(ev.Events)
				p.conns[i] = nil
			}
			if i%flushEvery == flushEvery-1 {
				p.flushDirty(p.batch)
			}
		}
		p.settle()
	}
}

// settle does tasks and flushes until there are none, but not for ever: then it comes back after the next events.
func (p *poller) settle() {
	for round := 0; ; round++ {
		p.mu.Lock()
		tasks, dirty := len(p.tasks) > 0, len(p.dirty) > 0
		if round == settleRounds || !tasks && !dirty {
			p.busy = false
			p.mu.Unlock()
			if tasks {
				p.ring()
			}
			if dirty {
				p.wakeFlusher()
			}
			return
		}
		work := p.tasks
		p.tasks, p.spare[0] = p.spare[0][:0], nil
		for _, c := range work {
			c.posted = false
		}
		p.mu.Unlock()
		for i, c := range work {
			c.step()
			c.listen()
			work[i] = nil
		}
		p.mu.Lock()
		p.spare[0] = work[:0]
		p.mu.Unlock()
		p.flushDirty(p.batch)
	}
}

// flusher writes what goroutines other than run queued.
func (p *poller) flusher() {
	b := newBatch()
	for {
		select {
		case <-p.kick:
			for p.flushDirty(b) {
			}
		case <-p.done:
			return
		}
	}
}

// flushDirty flushes the connections on the list, and reports whether there were any.
func (p *poller) flushDirty(b *batch) bool {
	p.mu.Lock()
	work := p.dirty
	if len(work) == 0 {
		p.mu.Unlock()
		return false
	}
	p.dirty, p.spare[1] = p.spare[1][:0], nil
	p.mu.Unlock()
	for i, c := range work {
		c.flush(b)
		work[i] = nil
	}
	p.mu.Lock()
	p.spare[1] = work[:0]
	p.mu.Unlock()
	return true
}

func (p *poller) ring() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.Write(p.bell, one[:])
}

func (p *poller) wakeFlusher() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// handle takes the events of one connection. Called by run.
func (c *pollConn) handle(events uint32) {
	if c.ended {
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
	wake := !p.busy && len(p.dirty) == 1
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

func (c *pollConn) halfClose() { unix.Shutdown(c.fd, unix.SHUT_WR) }

func (c *pollConn) hangUp() {
	p := c.p
	p.mu.Lock()
	if c.fd < len(p.table) && p.table[c.fd] == c {
		p.table[c.fd] = nil
	}
	p.mu.Unlock()
	unix.Close(c.fd)
}
