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

// fileMark tells a file's own first and last frames from all others.
type fileMark uint8

const (
	fileBegins fileMark = iota + 1
	fileEnds
)
