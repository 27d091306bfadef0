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
		s := d.srv
		sl := slot{addr: ParseAddr(nc.RemoteAddr().String())}
		if n := s.pending.Add(1); s.cfg.MaxPending > 0 && n > int64(s.cfg.MaxPending) {
			s.refuse(nc, rejectPending)
			continue
		}
		if !within(sl.addr, s.cfg.TrustedProxies) {
			if why, ok := sl.take(s, sl.addr); !ok {
				s.refuse(nc, why)
				continue
			}
		}
		return &frontConn{Conn: nc, srv: s, slot: sl}, nil
	}
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
	sl.addr = addr
	if !addr.IsValid() {
		return 0, true
	}
	why, ok := s.limits.take(addr, time.Now())
	sl.counted = ok
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
