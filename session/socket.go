package session

import (
	"net/netip"
	"time"

	"github.com/fastport/fastport/protocol"
)

// Lane is a priority in a connection's outbox: control before acks before messages before files.
type Lane uint8

const (
	LaneControl Lane = iota // responses, errors, pongs
	LaneAck                 // ack_received, publish_response
	LaneMessage
	LaneFile
	Lanes = 4
)

// Socket is a connection as the engine sees it. No method blocks; all are safe for concurrent use, may be called
// under the engine's locks, and so never call back into the engine before they return.
type Socket interface {
	// Send queues p. False: the socket is closed or closing, or its outbox is over its bound, and p was not queued.
	// Control, messages (with acks) and file chunks have bounds of their own, so that none crowds out another. A queue
	// that nothing leaves for protocol.SlowConsumerAfter is the socket's own reason to close with 4008.
	Send(l Lane, p *Packet) bool
	// SendAll is Send for r's packets from one to (not with) another; it gives how many of the first were queued. Where
	// one of them is half written when the socket closes, those behind it may go out too.
	SendAll(l Lane, r *Run, from, to int) (queued int)
	// SendChunk queues p on LaneFile and calls sent, once and from any goroutine, when the kernel has taken it whole or
	// the socket is closed. False: p was not queued, and sent is not called.
	SendChunk(p *Packet, sent func()) bool
	// Ping asks for a sign of life as soon as possible; Peer.Alive tells when it came.
	Ping()
	// Resume goes on with reading after a Peer's method returned wait.
	Resume()
	// Close sends what control frames and acks are queued, then a close frame, and closes. The first call's code counts.
	Close(code protocol.CloseCode, reason string)
}

// Peer is a connection as the gateway sees it: the engine's end of a Socket. One goroutine at a time calls Text, Binary,
// Rest and Closed; buffers are valid during the call only. A method that returns wait has gone on in the background: the
// gateway hands in nothing more until Socket.Resume is called (which may be before the method returns).
type Peer interface {
	// Text takes one text frame of valid UTF-8.
	Text(frame []byte) (wait bool)
	// Binary takes one binary frame.
	Binary(frame []byte) (wait bool)
	// Rest tells that for now there are no more frames than those handed in: what waited for company goes on without. It
	// comes after each read, also where a method asked to wait, and before Closed.
	Rest()
	// Alive tells that a pong came to a ping that was sent at the given time.
	Alive(pinged time.Time)
	// Ready reports whether the connection has logged in. Any goroutine may ask.
	Ready() bool
	// Closed tells that the socket is gone; nothing is sent on it any more. Once; it comes also between a wait and its
	// Resume.
	Closed()
}

// Leaver is what a Peer can do for a node that drains. Any goroutine may call; neither method blocks.
type Leaver interface {
	// Move tells the client to open a new connection after so long, which takes this one over, and so to close this one.
	// False: it was not told, for it has not logged in, its version has no word for that, or it takes nothing.
	Move(after time.Duration) bool
	// Leave takes no more publishes and closes the socket with 1012 once those before are answered, which is at once
	// where there are none. A further call does nothing.
	Leave()
}

// Engine opens a Peer for an accepted connection from a client's address.
type Engine interface {
	Open(s Socket, from netip.Addr) Peer
}
