package gateway

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/fastport/fastport/protocol"
)

// route takes upgrades of / and /ws, on a fresh connection or on one that served HTTP before (a proxy with kept-alive
// connections does that), and passes everything else on.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	if (r.URL.Path == "/" || r.URL.Path == "/ws") && hasToken(r.Header, "Upgrade", "websocket") {
		s.upgrade(w, r)
		return
	}
	s.fallback.ServeHTTP(w, r)
}

func (s *Server) upgrade(w http.ResponseWriter, r *http.Request) {
	// A refusal's connection is not used again: whatever the client thinks comes next, it is no HTTP request.
	w.Header().Set("Connection", "close")
	if status, text := checkHandshake(r); status != 0 {
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
	if why, ok := s.admit(r, front); !ok {
		s.reject(why)
		status, code, text := why.answer()
		writeError(w, status, code, text)
		return
	}
	w.Header().Del("Connection")
	s.take(w, r, front)
}

// admit asks the limits for one more WebSocket connection; it has its place in Server.open then.
func (s *Server) admit(r *http.Request, front *frontConn) (reason, bool) {
	if s.draining.Load() {
		return rejectDraining, false
	}
	if origin := r.Header.Get("Origin"); origin != "" && !s.allowsOrigin(origin) {
		return rejectOrigin, false
	}
	if n := s.open.Add(1); s.cfg.MaxConnections > 0 && n > int64(s.cfg.MaxConnections) {
		s.leave()
		return rejectTotal, false
	}
	if !front.slot.counted {
		if why, ok := front.slot.take(s, ClientAddr(r, s.cfg.TrustedProxies)); !ok {
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

// take answers the handshake and makes the connection a conn.
func (s *Server) take(w http.ResponseWriter, r *http.Request, front *frontConn) {
	deflate := wsflate.Extension{Parameters: wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}}
	upgrader := ws.HTTPUpgrader{Timeout: s.cfg.HeaderTimeout}
	if s.cfg.Compression {
		upgrader.Negotiate = func(offer httphead.Option) (httphead.Option, error) {
			accept, err := deflate.Negotiate(offer)
			if err != nil {
				return httphead.Option{}, nil // an offer that makes no sense is declined
			}
			return accept, nil
		}
	}
	nc, rw, _, err := upgrader.Upgrade(r, w)
	if err != nil {
		s.reject(rejectHandshake)
		s.leave()
		if nc != nil {
			nc.Close()
		}
		return
	}
	var early []byte
	if n := rw.Reader.Buffered(); n > 0 {
		early, _ = rw.Reader.Peek(n)
		early = slices.Clone(early)
	}
	_, packed := deflate.Accepted()
	s.adopt(nc, front, early, packed)
}

// checkHandshake holds r against RFC 6455, 4.2.1. Status 0: it is correct.
func checkHandshake(r *http.Request) (status int, text string) {
	switch {
	case r.Method != http.MethodGet:
		return http.StatusMethodNotAllowed, "a WebSocket upgrade is a GET"
	case !r.ProtoAtLeast(1, 1):
		return http.StatusBadRequest, "a WebSocket upgrade wants HTTP/1.1"
	case r.ContentLength != 0:
		return http.StatusBadRequest, "a WebSocket upgrade has no body"
	case !hasToken(r.Header, "Connection", "upgrade"):
		return http.StatusBadRequest, "the Connection header does not name Upgrade"
	case r.Header.Get("Sec-WebSocket-Version") != "13":
		return http.StatusUpgradeRequired, "Sec-WebSocket-Version must be 13"
	case len(r.Header.Get("Sec-WebSocket-Key")) != 24:
		return http.StatusBadRequest, "Sec-WebSocket-Key must be 16 bytes in base64"
	}
	return 0, ""
}

// hasToken looks for a token in a header that lists tokens, in any case.
func hasToken(h http.Header, key, token string) bool {
	for _, line := range h.Values(key) {
		for t := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}
