package session

import "sync"

// Headroom is the space in front of a packet's payload, for the transport's own header: a server's WebSocket header
// (RFC 6455, 5.2) has at most 10 bytes.
const Headroom = 10

// Packet is one frame on its way out: encoded once, shared by every connection that gets it, immutable once sent.
type Packet struct {
	Binary bool
	buf    []byte
	file   fileMark
	chunk  *chunk // nil, or that whose packet it is

	// Transport holds what the gateway derives from the payload (its framed and its deflated form), made once a packet
	// by whoever sends it first.
	Transport struct {
		Framed   sync.Once
		Wire     []byte // header and payload
		Deflated sync.Once
		Small    []byte // header and deflated payload
	}
}

// NewPacket makes a packet of what build appends. size is a guess of its bytes.
func NewPacket(binary bool, size int, build func(dst []byte) []byte) *Packet {
	return &Packet{Binary: binary, buf: build(make([]byte, Headroom, Headroom+size))}
}

// Payload is the frame's content.
func (p *Packet) Payload() []byte { return p.buf[Headroom:] }

// Buffer is Headroom free bytes and the payload behind them; the free bytes belong to the transport.
func (p *Packet) Buffer() []byte { return p.buf }

// Run is packets that go out one behind the other, in this order.
type Run struct {
	Packets []*Packet
	Wide    bool // so many connections get them that it pays to join their frames

	// Transport holds what the gateway derives from the packets, made once a run by the first to be sent it: so who sends
	// a run sends it by one goroutine at a time.
	Transport struct {
		Tried bool   // to join them
		Wire  []byte // all frames; nil: they are not joined
		Ends  []int  // where each of them ends
	}
}

// fileMark tells a file's own first and last frames from all others.
type fileMark uint8

const (
	fileBegins fileMark = iota + 1
	fileEnds
)
