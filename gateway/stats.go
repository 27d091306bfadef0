package gateway

import (
	"log/slog"
	"sync/atomic"

	"github.com/fastport/fastport/protocol"
)

// Close codes that only the transport uses.
const (
	closeEmpty    protocol.CloseCode = 1005 // no code was in the peer's close frame; never sent
	closeInternal protocol.CloseCode = 1011 // this connection's handling panicked
)

// Stats is what a Server has done and holds.
type Stats struct {
	Connections int64 // WebSocket connections, those that are closing too
	Pending     int64 // connections of any kind that have not logged in

	// Closed counts WebSocket connections by what ended them first, Rejected refused connections and upgrades by the
	// limit or rule. Every cause is a key, also at 0.
	Closed   map[string]uint64
	Rejected map[string]uint64

	OutboxBytes int64 // queued for all connections now
	BytesIn     uint64
	BytesOut    uint64
	FramesIn    uint64
	FramesOut   uint64
}

// cause is what ended a connection.
type cause uint8

const (
	causePeer     cause = iota // the peer's close frame
	causeLost                  // end of stream or an error of the socket
	causeProtocol              // the peer broke RFC 6455
	causeTooLarge              // a message over the limit
	causeSlow                  // an outbox that nothing left
	causeSilent                // no pong in time
	causeNoInit                // no login in time
	causeStalled               // a half-received message that made no progress
	causeRate                  // too many frames or bytes a second
	causePanic                 // the connection's handling panicked
	causeDrain                 // the server is going

	// The engine's, by the code that it closes with.
	causeBadFrames // ten in a row
	causeTakenOver // a newer connection of the same clientId
	causeSession   // dropped, suspended or expired
	causeLogin     // a failed init
	causeUnacked   // more waited for its acks than may
	causeEngine    // any other
	causes         // how many there are
)

var causeNames = [causes]string{
	"peer", "lost", "protocol", "too_large", "slow_consumer", "no_pong", "no_init", "stalled_frame", "rate_limited", "panic",
	"drain", "bad_frames", "taken_over", "session_gone", "not_authenticated", "unacked", "engine",
}

// causeOf is why the engine closes with a code.
func causeOf(code protocol.CloseCode) cause {
	switch code {
	case protocol.CloseDraining:
		return causeDrain
	case protocol.CloseProtocol:
		return causeBadFrames
	case protocol.CloseTakenOver:
		return causeTakenOver
	case protocol.CloseSessionGone:
		return causeSession
	case protocol.CloseNotAuthenticated:
		return causeLogin
	case protocol.CloseSlowConsumer:
		return causeUnacked
	}
	return causeEngine
}

// reason is why a connection or an upgrade was refused.
type reason uint8

const (
	rejectTotal     reason = iota // MaxConnections
	rejectAddress                 // MaxConnectionsPerIP
	rejectRate                    // ConnectionRate
	rejectPending                 // MaxPending
	rejectOrigin                  // CORSOrigins
	rejectHandshake               // not a correct upgrade
	rejectDraining
	reasons // how many there are
)

var reasonNames = [reasons]string{
	"max_connections", "max_connections_per_ip", "connection_rate", "max_pending", "origin", "handshake", "draining",
}

// reject counts a refusal, under the word that the log has for it too.
func (s *Server) reject(why reason) {
	s.rejected[why].Add(1)
	s.cfg.Logger.Debug("refusing a connection", slog.String("reason", reasonNames[why]))
}

// counters of one shard of connections, so that cores do not fight over them.
type counters struct {
	bytesIn, bytesOut, framesIn, framesOut atomic.Uint64
	outbox                                 atomic.Int64
	closed                                 [causes]atomic.Uint64
	_                                      [64]byte
}

// Stats is a snapshot, exact when nothing moves.
func (s *Server) Stats() Stats {
	st := Stats{
		Connections: s.open.Load(),
		Pending:     s.pending.Load(),
		Closed:      make(map[string]uint64, causes),
		Rejected:    make(map[string]uint64, reasons),
	}
	for i := range s.rejected {
		st.Rejected[reasonNames[i]] = s.rejected[i].Load()
	}
	for _, sh := range s.roster {
		c := &sh.count
		st.OutboxBytes += c.outbox.Load()
		st.BytesIn += c.bytesIn.Load()
		st.BytesOut += c.bytesOut.Load()
		st.FramesIn += c.framesIn.Load()
		st.FramesOut += c.framesOut.Load()
		for i := range c.closed {
			st.Closed[causeNames[i]] += c.closed[i].Load()
		}
	}
	return st
}
