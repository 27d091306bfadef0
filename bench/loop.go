package main

import (
	"fmt"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// Loop is the generator's only working thread: epoll, read, parse, publish, write.
type Loop struct {
	ad    Adapter
	ep    int
	conns []*Conn
	dirty []*Conn
	buf   []byte
	evs   []syscall.EpollEvent
	now   int64

	nDeliv, nAck, nBytes, nErr uint64
	gaps, dups, late           uint64
	closedN                    int
	hist                       *Hist
	bigDone                    uint64
	record                     bool
	onDeliver                  func(c *Conn)
	onAck                      func(c *Conn)
	trace                      int
}

var t0 = time.Now()

func nanos() int64 { return int64(time.Since(t0)) }

func newLoop(ad Adapter) *Loop {
	ep, err := syscall.EpollCreate1(0)
	if err != nil {
		panic(err)
	}
	return &Loop{ad: ad, ep: ep, buf: make([]byte, 1<<20), evs: make([]syscall.EpollEvent, 1024), hist: newHist(), record: true}
}

// adopt moves ready connections to the event loop.
func (l *Loop) adopt(conns []*Conn) {
	for _, c := range conns {
		syscall.SetNonblock(c.fd, true)
		ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(len(l.conns))}
		c.id = len(l.conns)
		l.conns = append(l.conns, c)
		syscall.EpollCtl(l.ep, syscall.EPOLL_CTL_ADD, c.fd, &ev)
		if len(c.left) > 0 {
			b := append([]byte(nil), c.left...)
			c.left = c.left[:0]
			l.feed(c, b)
		}
	}
}

func (l *Loop) closeAll() {
	for _, c := range l.conns {
		if !c.closed {
			lg := syscall.Linger{Onoff: 1, Linger: 0}
			syscall.SetsockoptLinger(c.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &lg)
			syscall.Close(c.fd)
			c.closed = true
		}
	}
	syscall.Close(l.ep)
}

// poll waits at most d, reads every ready connection once, and flushes what that produced.
func (l *Loop) poll(d time.Duration) {
	var ts syscall.Timespec
	if d < 0 {
		d = 0
	}
	ts = syscall.NsecToTimespec(int64(d))
	var n uintptr
	var e syscall.Errno
	if d == 0 {
		n, _, e = syscall.RawSyscall6(441, uintptr(l.ep), uintptr(unsafe.Pointer(&l.evs[0])), uintptr(len(l.evs)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	} else {
		n, _, e = syscall.Syscall6(441 /*epoll_pwait2*/, uintptr(l.ep), uintptr(unsafe.Pointer(&l.evs[0])), uintptr(len(l.evs)), uintptr(unsafe.Pointer(&ts)), 0, 0)
	}
	if e != 0 && e != syscall.EINTR {
		panic("epoll_pwait2: " + e.Error())
	}
	if e != 0 {
		return
	}
	for i := 0; i < int(n); i++ {
		ev := &l.evs[i]
		c := l.conns[ev.Fd]
		if c.closed {
			continue
		}
		if ev.Events&syscall.EPOLLOUT != 0 {
			l.flushOne(c)
		}
		if ev.Events&(syscall.EPOLLIN|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
			l.readable(c)
		}
	}
	l.flush()
}

func (l *Loop) drop(c *Conn, why string) {
	if c.closed {
		return
	}
	c.closed = true
	l.closedN++
	if l.closedN <= 3 {
		fmt.Printf("# connection %d (sub=%v) closed by server: %s\n", c.id, c.sub, why)
	}
	syscall.Close(c.fd)
}

func (l *Loop) readable(c *Conn) {
	k := copy(l.buf, c.left)
	n, e := rawRead(c.fd, l.buf[k:])
	if e == syscall.EAGAIN || e == syscall.EINTR {
		return
	}
	if e != 0 {
		l.drop(c, e.Error())
		return
	}
	if n == 0 {
		l.drop(c, "EOF")
		return
	}
	l.nBytes += uint64(n)
	l.now = nanos()
	c.left = c.left[:0]
	l.feed(c, l.buf[:k+n])
}

func (l *Loop) mark(c *Conn) {
	if !c.dirty {
		c.dirty = true
		l.dirty = append(l.dirty, c)
	}
}

func (l *Loop) flush() {
	for _, c := range l.dirty {
		c.dirty = false
		if b, ok := l.ad.(Batcher); ok {
			b.Batch(c)
		}
		l.flushOne(c)
	}
	l.dirty = l.dirty[:0]
}

func (l *Loop) flushOne(c *Conn) {
	if c.closed {
		return
	}
	p := c.out
	for len(p) > 0 {
		n, e := rawWrite(c.fd, p)
		if e == syscall.EINTR {
			continue
		}
		if e == syscall.EAGAIN {
			break
		}
		if e != 0 {
			l.drop(c, "write: "+e.Error())
			return
		}
		p = p[n:]
	}
	if len(p) > 0 {
		c.out = append(c.out[:0], p...)
		if !c.wantW {
			c.wantW = true
			ev := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLOUT, Fd: int32(c.id)}
			syscall.EpollCtl(l.ep, syscall.EPOLL_CTL_MOD, c.fd, &ev)
		}
		return
	}
	c.out = c.out[:0]
	if c.wantW {
		c.wantW = false
		ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(c.id)}
		syscall.EpollCtl(l.ep, syscall.EPOLL_CTL_MOD, c.fd, &ev)
	}
}

func lockThread() {
	runtime.LockOSThread()
	syscall.RawSyscall(syscall.SYS_PRCTL, 29 /*PR_SET_TIMERSLACK*/, 1, 0)
}
