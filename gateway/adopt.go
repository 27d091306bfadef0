package gateway

import (
	"net"

	"github.com/fastport/fastport/protocol"
)

// adopt makes a conn of an upgraded connection, which is no longer net/http's, and starts its loop. early is what the
// client sent right behind its handshake.
func (s *Server) adopt(nc net.Conn, front *frontConn, early []byte, packed bool) {
	if !front.left.CompareAndSwap(false, true) {
		nc.Close() // http.Server.Close came first
		s.leave()
		return
	}
	sl := front.slot
	if tcp, ok := front.Conn.(*net.TCPConn); ok {
		tcp.SetKeepAlive(false) // our own pings do that, and tell more
		tuneTCP(tcp)
	}
	c := s.adoptPolled(nc, front.Conn, sl, early, packed)
	if c == nil {
		c = s.adoptLoop(nc, front.Conn, sl, early, packed)
	}
	if s.draining.Load() {
		c.close(causeDrain, protocol.CloseDraining, "this node is going")
	}
}
