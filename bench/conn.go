package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"github.com/gobwas/ws"
)

// Conn is one websocket held as a bare descriptor. After the blocking set-up
// (dial, upgrade, log in, subscribe) the single event loop owns it.
type Conn struct {
	fd    int
	id    int
	topic int
	sub   bool

	out    []byte // bytes not yet written
	dirty  bool
	wantW  bool
	left   []byte // incomplete frame carried to the next read
	frem   int64  // stream protocols: payload bytes left in the current frame; else: bytes of a big frame to skip
	big    bool
	sleft  []byte // stream protocols: incomplete packet
	pskip  int    // stream protocols: payload bytes of a big packet still to skip
	off    int    // where the marker was in the last delivery
	closed bool

	seq   uint32 // publisher: last sequence sent
	acked uint64
	deliv uint64
	next  uint32     // subscriber: the sequence after the highest seen
	seen  [16]uint64 // which of the last 1024 sequences have come
	ctr   uint64
	peer  *Conn
	tmp   []byte
	acks  []byte // fastport: ids not yet acked, as JSON strings
}

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

// rw is what the adapters' blocking set-up talks through.
type rw struct {
	io.Reader
	io.Writer
}

type fdRW struct {
	fd  int
	pre []byte
}

func (f *fdRW) Read(p []byte) (int, error) {
	if len(f.pre) > 0 {
		n := copy(p, f.pre)
		f.pre = f.pre[n:]
		return n, nil
	}
	for {
		n, err := syscall.Read(f.fd, p)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("read: %w", err)
		}
		if n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}
}

func (f *fdRW) Write(p []byte) (int, error) {
	t := 0
	for t < len(p) {
		n, err := syscall.Write(f.fd, p[t:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return t, err
		}
		t += n
	}
	return t, nil
}

type target struct {
	u    *url.URL
	addr syscall.SockaddrInet4
}

func parseTarget(raw string) (*target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	h, p, err := net.SplitHostPort(u.Host)
	if err != nil {
		return nil, err
	}
	if h == "localhost" {
		h = "127.0.0.1"
	}
	ip := net.ParseIP(h).To4()
	if ip == nil || ip[0] != 127 {
		return nil, fmt.Errorf("%s: only loopback IPv4 targets are allowed", raw)
	}
	port, _ := strconv.Atoi(p)
	t := &target{u: u}
	t.addr.Port = port
	copy(t.addr.Addr[:], ip)
	return t, nil
}

// dialFD connects from 127.0.0.src, upgrades, and runs the adapter's set-up, all blocking.
func dialFD(ad Adapter, t *target, src int, c *Conn) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	fail := func(err error) error { syscall.Close(fd); return err }
	if src > 0 {
		syscall.SetsockoptInt(fd, syscall.SOL_IP, 24 /*IP_BIND_ADDRESS_NO_PORT*/, 1)
		sa := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(src)}}
		if err := syscall.Bind(fd, sa); err != nil {
			return fail(err)
		}
	}
	tv := syscall.Timeval{Sec: 30}
	syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &tv)
	syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &tv)
	for {
		err = syscall.Connect(fd, &t.addr)
		if err == syscall.EINTR {
			continue
		}
		break
	}
	if err != nil {
		return fail(fmt.Errorf("connect: %w", err))
	}
	syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	f := &fdRW{fd: fd}
	pre, err := upgrade(ad, t, f)
	if err != nil {
		return fail(fmt.Errorf("upgrade: %w", err))
	}
	f.pre = pre
	c.fd = fd
	if err := ad.Setup(c, f); err != nil {
		return fail(fmt.Errorf("setup: %w", err))
	}
	c.left = append(c.left[:0], f.pre...)
	return nil
}

func upgrade(ad Adapter, t *target, f io.ReadWriter) ([]byte, error) {
	proto, path := ad.WS()
	u := *t.u
	if path != "" && (u.Path == "" || u.Path == "/") {
		pu, _ := url.Parse(path)
		u.Path, u.RawQuery = pu.Path, pu.RawQuery
	}
	if u.Path == "" {
		u.Path = "/"
	}
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP(http.Header{"User-Agent": {"bench"}})}
	if proto != "" {
		d.Protocols = []string{proto}
	}
	br, _, err := d.Upgrade(f, &u)
	if err != nil {
		return nil, err
	}
	var pre []byte
	if br != nil {
		if n := br.Buffered(); n > 0 {
			b, _ := br.Peek(n)
			pre = append(pre, b...)
		}
		ws.PutReader(br)
	}
	return pre, nil
}

var errDial = errors.New("dial")

// dialAll opens conns in parallel; the first error is returned.
func dialAll(ad Adapter, ts []*target, conns []*Conn, par int, srcs int) error {
	ch := make(chan int)
	errs := make(chan error, par)
	for w := 0; w < par; w++ {
		go func() {
			var e error
			for i := range ch {
				if e != nil {
					continue
				}
				c := conns[i]
				t := ts[0]
				if c.sub && len(ts) > 1 {
					t = ts[1+i%(len(ts)-1)]
				}
				src := 0
				if srcs > 0 {
					src = 2 + i%srcs
				}
				if err := dialFD(ad, t, src, c); err != nil {
					e = fmt.Errorf("conn %d: %w", i, err)
				}
			}
			errs <- e
		}()
	}
	for i := range conns {
		ch <- i
	}
	close(ch)
	var first error
	for w := 0; w < par; w++ {
		if e := <-errs; e != nil && first == nil {
			first = e
		}
	}
	return first
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

func rawRead(fd int, p []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), e
}

func rawWrite(fd int, p []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), e
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

// feed splits bytes into frames. Whole frames go to the adapter's Feed; a stream
// protocol gets payload bytes as they come; a frame over 16 KiB is handed over by
// its first bytes and the rest is skipped, not copied.
func (l *Loop) feed(c *Conn, b []byte) {
	st := l.ad.Stream()
	for {
		if c.frem > 0 {
			n := int64(len(b))
			if n > c.frem {
				n = c.frem
			}
			if st {
				l.ad.Feed(l, c, 2, b[:n])
			}
			c.frem -= n
			b = b[n:]
			if c.frem == 0 && c.big {
				c.big = false
				l.bigDone++
			}
		}
		if len(b) < 2 {
			break
		}
		op := b[0] & 0x0f
		ln := int64(b[1] & 0x7f)
		h := 2
		if ln == 126 {
			if len(b) < 4 {
				break
			}
			ln = int64(b[2])<<8 | int64(b[3])
			h = 4
		} else if ln == 127 {
			if len(b) < 10 {
				break
			}
			ln = 0
			for _, x := range b[2:10] {
				ln = ln<<8 | int64(x)
			}
			h = 10
		}
		if st && op <= 2 {
			b = b[h:]
			c.frem = ln
			continue
		}
		if op <= 2 && ln > 16384 {
			if len(b) < h+64 {
				break
			}
			l.ad.Feed(l, c, op, b[h:h+64])
			b = b[h:]
			c.frem, c.big = ln, true
			continue
		}
		if int64(len(b)) < int64(h)+ln {
			break
		}
		p := b[h : int64(h)+ln]
		b = b[int64(h)+ln:]
		switch op {
		case 8:
			code := 0
			if len(p) >= 2 {
				code = int(p[0])<<8 | int(p[1])
			}
			l.drop(c, fmt.Sprintf("close frame %d %s", code, p[min(2, len(p)):]))
			return
		case 9:
			c.frame(10, p)
			l.mark(c)
		case 10:
		default:
			if l.trace > 0 {
				l.trace--
				fmt.Printf("# conn %d < %.400s\n", c.id, p)
			}
			l.ad.Feed(l, c, op, p)
		}
	}
	if len(b) > 0 {
		c.left = append(c.left, b...)
	}
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

var maskKey = [4]byte{0x37, 0xa9, 0x5c, 0x1e} // not zero: some servers skip unmasking for a zero key

// frame appends one masked client frame.
func (c *Conn) frame(op byte, p []byte) { c.out = appendFrame(c.out, op, p) }

func appendFrame(dst []byte, op byte, p []byte) []byte {
	n := len(p)
	switch {
	case n < 126:
		dst = append(dst, 0x80|op, 0x80|byte(n))
	case n < 65536:
		dst = append(dst, 0x80|op, 0x80|126, byte(n>>8), byte(n))
	default:
		dst = append(dst, 0x80|op, 0x80|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	dst = append(dst, maskKey[:]...)
	k := len(dst)
	dst = append(dst, p...)
	ws.Cipher(dst[k:], maskKey, 0)
	return dst
}

// sendNow is for set-up code: one blocking frame.
func sendNow(f io.Writer, op byte, p []byte) error {
	_, err := f.Write(appendFrame(nil, op, p))
	return err
}

// recvNow is for set-up code: one whole data frame, answering pings.
func recvNow(f io.ReadWriter) ([]byte, error) {
	for {
		h, err := ws.ReadHeader(f)
		if err != nil {
			return nil, err
		}
		if h.Length > 1<<20 {
			return nil, fmt.Errorf("frame of %d bytes in set-up", h.Length)
		}
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(f, p); err != nil {
			return nil, err
		}
		switch h.OpCode {
		case ws.OpPing:
			sendNow(f, 10, p)
		case ws.OpClose:
			return nil, fmt.Errorf("closed: %q", p)
		case ws.OpText, ws.OpBinary, ws.OpContinuation:
			return p, nil
		}
	}
}

// dialNet is the storm's way: a Go net connection, so that 500 can wait at once.
func dialNet(ad Adapter, t *target, src int, c *Conn) error {
	d := net.Dialer{Timeout: 20 * time.Second}
	if src > 0 {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(src))}
		d.Control = func(_, _ string, rc syscall.RawConn) error {
			return rc.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_IP, 24, 1) })
		}
	}
	nc, err := d.DialContext(context.Background(), "tcp4", t.u.Host)
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.(*net.TCPConn).SetLinger(0)
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	pre, err := upgrade(ad, t, nc)
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	r := &preReader{pre, nc}
	if err := ad.Setup(c, rw{r, nc}); err != nil {
		return fmt.Errorf("setup: %w", err)
	}
	return nil
}

type preReader struct {
	pre []byte
	r   io.Reader
}

func (p *preReader) Read(b []byte) (int, error) {
	if len(p.pre) > 0 {
		n := copy(b, p.pre)
		p.pre = p.pre[n:]
		return n, nil
	}
	return p.r.Read(b)
}

func lockThread() {
	runtime.LockOSThread()
	syscall.RawSyscall(syscall.SYS_PRCTL, 29 /*PR_SET_TIMERSLACK*/, 1, 0)
}
