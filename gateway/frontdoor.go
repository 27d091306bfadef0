package gateway

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/protocol"
)

const (
	maxRefusing  = 1024        // refused connections that get a text; the others are closed at once
	refuseLinger = time.Second // so that the text arrives
)

// frontDoor accepts connections within the limits. Those that come straight from clients are counted here, before
// they cost a byte; a trusted proxy's are counted at the upgrade, where the client is known.
type frontDoor struct {
	net.Listener
	srv *Server
}

// Accept returns the next connection that no limit refuses.
func (d *frontDoor) Accept() (net.Conn, error) {
	for {
		nc, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		sl, why, ok := d.srv.enter(ParseAddr(nc.RemoteAddr().String()))
		if ok {
			return &frontConn{Conn: nc, srv: d.srv, slot: sl}, nil
		}
		d.srv.refuse(nc, why)
	}
}

// enter asks the limits for a connection that was just accepted from addr. It counts as pending, also if it is refused.
func (s *Server) enter(addr netip.Addr) (sl slot, why reason, ok bool) {
	sl.addr = addr
	if n := s.pending.Add(1); s.cfg.MaxPending > 0 && n > int64(s.cfg.MaxPending) {
		return sl, rejectPending, false
	}
	if !within(addr, s.cfg.TrustedProxies) {
		if why, ok := sl.take(s, addr); !ok {
			return sl, why, false
		}
	}
	return sl, 0, true
}

// refuse answers a connection that is over a limit, and closes it; it counts as pending until then.
func (s *Server) refuse(nc net.Conn, why reason) {
	s.reject(why)
	end := func() {
		nc.Close()
		s.pending.Add(-1)
	}
	if s.cfg.TLS != nil || s.refusing.Add(1) > maxRefusing {
		if s.cfg.TLS == nil {
			s.refusing.Add(-1)
		}
		end()
		return
	}
	s.tasks.Go(func() {
		defer s.refusing.Add(-1)
		defer end()
		status, code, text := why.answer()
		body := errorBody(code, text)
		head := "HTTP/1.1 " + strconv.Itoa(status) + " " + http.StatusText(status) +
			"\r\nContent-Type: application/json\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: " +
			strconv.Itoa(len(body)) + "\r\n\r\n"
		nc.SetDeadline(time.Now().Add(refuseLinger))
		nc.Write(append([]byte(head), body...))
		if cw, ok := nc.(interface{ CloseWrite() error }); ok {
			cw.CloseWrite()
			io.Copy(io.Discard, nc)
		}
	})
}

// slot is a connection's place in its address's count.
type slot struct {
	addr    netip.Addr // of the client, as far as it is known
	counted bool
}

func (sl *slot) take(s *Server, addr netip.Addr) (reason, bool) {
	if !addr.IsValid() {
		return 0, true
	}
	why, ok := s.limits.take(addr, time.Now())
	if ok {
		sl.addr, sl.counted = addr, true
	}
	return why, ok
}

func (sl *slot) release(s *Server) {
	if sl.counted {
		sl.counted = false
		s.limits.release(sl.addr)
	}
}

// frontConn is a connection in net/http's hands.
type frontConn struct {
	net.Conn
	srv  *Server
	slot slot
	left atomic.Bool // closed, or given to a conn with its slot and its place among the pending

	// Of a connection that was read before net/http got it; owned by its reader.
	read []byte    // what came; it is read again
	head time.Time // when its first request's head must be there
}

// Read reads again what was read before, and then from the socket.
func (c *frontConn) Read(to []byte) (int, error) {
	if len(c.read) == 0 {
		return c.Conn.Read(to)
	}
	n := copy(to, c.read)
	c.read = c.read[n:]
	return n, nil
}

// rest takes what is left to be read again.
func (c *frontConn) rest() []byte {
	left := c.read
	c.read = nil
	return left
}

// SetReadDeadline grants the first head no more time than is left since the connection was accepted.
func (c *frontConn) SetReadDeadline(t time.Time) error {
	if !c.head.IsZero() {
		if t.After(c.head) {
			t = c.head
		}
		c.head = time.Time{}
	}
	return c.Conn.SetReadDeadline(t)
}

// Close closes the socket and gives its places free.
func (c *frontConn) Close() error {
	if c.left.CompareAndSwap(false, true) {
		c.slot.release(c.srv)
		c.srv.pending.Add(-1)
	}
	return c.Conn.Close()
}

type frontConnKey struct{}

func withFrontConn(ctx context.Context, nc net.Conn) context.Context {
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	return context.WithValue(ctx, frontConnKey{}, nc)
}

// answer is what a refused client is told.
func (r reason) answer() (status int, code protocol.Code, text string) {
	switch r {
	case rejectAddress:
		return http.StatusTooManyRequests, protocol.RateLimited, "too many connections from your address"
	case rejectRate:
		return http.StatusTooManyRequests, protocol.RateLimited, "your address connects too often: wait a second"
	case rejectOrigin:
		return http.StatusForbidden, protocol.Unauthorized, "this origin may not connect"
	case rejectDraining:
		return http.StatusServiceUnavailable, protocol.Unavailable, "this node is going: connect to another"
	}
	return http.StatusServiceUnavailable, protocol.Unavailable, "this node has all the connections it takes"
}

func errorBody(code protocol.Code, text string) []byte {
	body, _ := json.Marshal(struct { // strings always marshal
		Success bool          `json:"success"`
		Code    protocol.Code `json:"code"`
		Error   string        `json:"error"`
	}{false, code, text})
	return body
}

func writeError(w http.ResponseWriter, status int, code protocol.Code, text string) {
	body := errorBody(code, text)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}
