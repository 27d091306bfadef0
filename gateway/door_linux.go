package gateway

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	handedOver = 64              // connections that wait for net/http to take them
	acceptRest = time.Second / 8 // after an error that may pass, as when all descriptors are in use
)

// pollDoor is a front door whose connections are greeted by the pollers: until their first bytes say what they are, and
// for good if they are WebSockets, they cost no goroutine and no buffer. The others come to net/http by Accept.
type pollDoor struct {
	srv   *Server
	ln    net.Listener  // closed; knows its address
	file  *os.File      // its socket, as the runtime watches it
	other chan handover // to net/http; closed when nothing comes any more
	quit  chan struct{}
	once  sync.Once
	ended atomic.Bool // no new connections

	greeting sync.WaitGroup // connections in the pollers' hands that may come by other yet
}

var _ net.Listener = (*pollDoor)(nil)

// handover is a connection that is not the pollers' any more: a socket, and what was read of it.
type handover struct {
	fd    int
	slot  slot
	read  []byte
	since time.Duration // when it was accepted
}

// openDoor has the pollers greet ln's connections. nil: they cannot, and ln is as it was.
func (s *Server) openDoor(ln net.Listener) (*pollDoor, error) {
	tcp, ok := ln.(*net.TCPListener)
	if len(s.pollers) == 0 || s.cfg.TLS != nil || !ok {
		return nil, nil
	}
	file, err := tcp.File()
	if err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	ln.Close() // the file has the socket
	d := &pollDoor{srv: s, ln: ln, file: file, other: make(chan handover, handedOver), quit: make(chan struct{})}
	s.tasks.Go(func() { d.run(raw) })
	return d, nil
}

// Accept returns the next connection for net/http.
func (d *pollDoor) Accept() (net.Conn, error) {
	for h := range d.other {
		nc, err := connOf(h.fd)
		if err != nil {
			d.srv.dismissed(&h.slot)
			continue
		}
		head := d.srv.start.Add(h.since + d.srv.cfg.HeaderTimeout)
		return &frontConn{Conn: nc, srv: d.srv, slot: h.slot, read: h.read, head: head}, nil
	}
	return nil, net.ErrClosed
}

// Close ends accepting. Connections whose first bytes have not come yet go to net/http.
func (d *pollDoor) Close() error {
	d.once.Do(func() {
		d.ended.Store(true)
		close(d.quit)
		d.file.Close()
	})
	return nil
}

// Addr is the listener's address.
func (d *pollDoor) Addr() net.Addr { return d.ln.Addr() }

func (d *pollDoor) run(raw syscall.RawConn) {
	for raw.Read(d.accept) == nil && !d.ended.Load() {
		select {
		case <-time.After(acceptRest):
		case <-d.quit:
		}
	}
	for _, p := range d.srv.pollers {
		p.nudge(func(c *pollConn) bool { return c.door == d })
	}
	d.greeting.Wait()
	close(d.other)
}

// finish waits until nothing is left of the door, once net/http has no use for it.
func (d *pollDoor) finish() {
	d.Close()
	for h := range d.other {
		unix.Close(h.fd)
		d.srv.dismissed(&h.slot)
	}
}

// accept takes the connections that wait. False: there are no more now.
func (d *pollDoor) accept(fd uintptr) bool {
	for !d.ended.Load() {
		nfd, peer, err := syscall.Accept4(int(fd), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC) // x/sys asks the socket more
		switch err {
		case nil:
			d.greet(nfd, addrOf(peer))
		case syscall.EAGAIN:
			return false
		case syscall.EINTR, syscall.ECONNABORTED:
		default:
			d.srv.cfg.Logger.Debug("accepting a connection failed", slog.String("error", err.Error()))
			return true
		}
	}
	return true
}

// greet gives a new connection to a poller, unless a limit refuses it.
func (d *pollDoor) greet(fd int, from netip.Addr) {
	s := d.srv
	sl, why, ok := s.enter(from)
	if !ok {
		if nc, err := connOf(fd); err == nil {
			s.refuse(nc, why)
		} else {
			s.dismissed(&sl)
		}
		return
	}
	tune(fd)
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	d.greeting.Add(1)
	c := &pollConn{p: s.nextPoller(), fd: fd, door: d}
	c.srv, c.slot, c.since = s, sl, s.now()
	c.p.greet(c)
}

// dismissed forgets a connection that is closed before it was anything.
func (s *Server) dismissed(sl *slot) {
	sl.release(s)
	s.pending.Add(-1)
}

// connOf makes a net.Conn of a socket, which it takes in any case.
func connOf(fd int) (net.Conn, error) {
	file := os.NewFile(uintptr(fd), "")
	defer file.Close()
	nc, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true})
	}
	return nc, nil
}

func addrOf(peer syscall.Sockaddr) netip.Addr {
	switch a := peer.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrFrom4(a.Addr)
	case *syscall.SockaddrInet6:
		return netip.AddrFrom16(a.Addr).Unmap()
	}
	return netip.Addr{}
}
