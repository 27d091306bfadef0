package gateway

import (
	"encoding/binary"
	"fmt"
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
	lendAtMost   = 128      // connections that lend flushes without waking a flusher
)

// poller owns a share of the sockets: the goroutine in run reads them all, into one buffer.
//
// The epoll descriptor is itself watched by the Go runtime's poller, so that run waits like any goroutine and no
// thread sleeps in epoll_wait. What other goroutines want of it comes by two lists: tasks for the reader, which wake
// it, and dirty connections, which the flusher writes unless run is at work and gets to it first. While any poller of
// the server is at work, flushers sleep on: what its frames queue elsewhere grows until it has read them, and then it
// writes that too, or wakes them.
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

	mu      sync.Mutex // guards the following
	table   []*pollConn
	greeted []*pollConn // have not said yet what they are
	gen     int32
	busy    bool // run is at work, and looks at the lists before it sleeps
	tasks   []*pollConn
	dirty   []*pollConn
	spare   [2][]*pollConn // emptied lists, for their arrays
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

// add has epoll tell of c's socket.
func (p *poller) add(c *pollConn) error {
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
	defer c.mu.Unlock()
	return c.control(unix.EPOLL_CTL_ADD)
}

// forget takes c out of the table; its descriptor may be another's soon.
func (p *poller) forget(c *pollConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.fd < len(p.table) && p.table[c.fd] == c {
		p.table[c.fd] = nil
	}
}

// run serves the sockets until close.
func (p *poller) run() {
	for {
		p.ready = 0
		if err := p.raw.Read(p.poll); err != nil {
			return
		}
		p.srv.rounds.Add(1)
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
				p.lend()
			}
		}
		p.settle()
		p.srv.rounds.Add(-1)
		p.lend()
	}
}

// lend sees to the flush of what waits at pollers that are not at work, p itself included once its round is over: a few
// connections it writes itself, which costs less than to wake another thread for them.
func (p *poller) lend() {
	left := lendAtMost
	for _, q := range p.srv.pollers {
		// At a round's end, rounds was lowered before this look: whoever saw it raised has put its connection on the list
		// by now, and whoever comes later wakes the flusher.
		q.mu.Lock()
		waiting, busy := len(q.dirty), q.busy
		q.mu.Unlock()
		switch {
		case waiting == 0 || busy:
		case waiting <= left:
			left -= waiting
			q.flushDirty(p.batch)
		default:
			q.wakeFlusher()
		}
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
			return // lend sees what is left on dirty
		}
		work := p.tasks
		p.tasks, p.spare[0] = p.spare[0][:0], nil
		for _, c := range work {
			c.posted = false
		}
		p.mu.Unlock()
		for i, c := range work {
			if c.door != nil {
				c.hurry()
			} else {
				c.step()
				c.listen()
			}
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

// wakeFlusher has the flusher look at the list.
func (p *poller) wakeFlusher() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}
