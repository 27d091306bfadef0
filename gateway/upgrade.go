package gateway

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fastport/fastport/protocol"
)

// route takes upgrades of / and /ws, on a fresh connection or on one that served HTTP before (a proxy with kept-alive
// connections does that), and passes everything else on.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" || r.URL.Path == "/ws" {
		if h := handshakeOf(r); h.upgrade {
			s.upgrade(w, r, &h)
			return
		}
	}
	s.fallback.ServeHTTP(w, r)
}

func (s *Server) upgrade(w http.ResponseWriter, r *http.Request, h *handshake) {
	// A refusal's connection is not used again: whatever the client thinks comes next, it is no HTTP request.
	w.Header().Set("Connection", "close")
	if status, text := h.check(s.cfg.Compression); status != 0 {
		s.reject(rejectHandshake)
		if status == http.StatusUpgradeRequired {
			w.Header().Set("Sec-WebSocket-Version", "13")
		}
		writeError(w, status, protocol.BadRequest, text)
		return
	}
	front, ok := r.Context().Value(frontConnKey{}).(*frontConn)
	if !ok {
		writeError(w, http.StatusInternalServerError, protocol.Internal, "no connection to upgrade")
		return
	}
	if why, ok := s.admit(h, &front.slot); !ok {
		s.reject(why)
		status, code, text := why.answer()
		writeError(w, status, code, text)
		return
	}
	s.take(w, h, front)
}

// admit asks the limits for one more WebSocket connection; it has its place in Server.open then.
func (s *Server) admit(h *handshake, sl *slot) (reason, bool) {
	if s.draining.Load() {
		return rejectDraining, false
	}
	if h.origin != "" && !s.allowsOrigin(h.origin) {
		return rejectOrigin, false
	}
	if n := s.open.Add(1); s.cfg.MaxConnections > 0 && n > int64(s.cfg.MaxConnections) {
		s.leave()
		return rejectTotal, false
	}
	if !sl.counted {
		if why, ok := sl.take(s, clientAddr(sl.addr, h.hops, s.cfg.TrustedProxies)); !ok {
			s.leave()
			return why, false
		}
	}
	return 0, true
}

// allowsOrigin compares with CORSOrigins; a native client has no Origin and is not asked.
func (s *Server) allowsOrigin(origin string) bool {
	if len(s.cfg.CORSOrigins) == 0 {
		return true
	}
	return slices.ContainsFunc(s.cfg.CORSOrigins, func(allowed string) bool {
		return allowed == "*" || strings.EqualFold(strings.TrimSuffix(allowed, "/"), origin)
	})
}

// take answers the handshake and makes net/http's connection a conn.
func (s *Server) take(w http.ResponseWriter, h *handshake, front *frontConn) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.reject(rejectHandshake)
		s.leave()
		return
	}
	answer, packed := h.accept(nil, s.cfg.Compression)
	nc.SetDeadline(time.Now().Add(s.cfg.HeaderTimeout))
	if _, err := nc.Write(answer); err != nil {
		s.reject(rejectHandshake)
		s.leave()
		nc.Close()
		return
	}
	nc.SetDeadline(time.Time{})
	early, _ := rw.Reader.Peek(rw.Reader.Buffered())
	s.adopt(nc, front, append(slices.Clone(early), front.rest()...), packed)
}
