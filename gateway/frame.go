package gateway

import (
	"encoding/binary"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

const (
	finBit    = 0x80
	packedBit = 0x40 // RSV1: the payload is deflated
)

// framed is p with its header, made once for all connections that get it.
func framed(p *session.Packet) []byte {
	p.Transport.Framed.Do(func() {
		buf := p.Buffer()
		size := len(buf) - session.Headroom
		start := session.Headroom - serverHeaderSize(size)
		putHeader(buf[start:], finBit|byte(opCode(p)), size)
		p.Transport.Wire = buf[start:]
	})
	return p.Transport.Wire
}

// joinMost is the bytes up to which a run's frames are joined: it costs a copy of each.
const joinMost = 64 << 10

// joined reports whether r's frames lie one behind the other in memory, and sees to it, once for all connections that
// get them, where they are many and the frames are short.
func joined(r *session.Run) bool {
	t := &r.Transport
	if t.Tried || !r.Wide {
		return t.Wire != nil
	}
	t.Tried = true
	size := 0
	for _, p := range r.Packets {
		size += len(p.Payload()) + serverHeaderSize(len(p.Payload()))
	}
	if size > joinMost {
		return false
	}
	t.Wire, t.Ends = make([]byte, 0, size), make([]int, 0, len(r.Packets))
	for _, p := range r.Packets {
		t.Wire = append(t.Wire, framed(p)...)
		t.Ends = append(t.Ends, len(t.Wire))
	}
	return true
}

func opCode(p *session.Packet) ws.OpCode {
	if p.Binary {
		return ws.OpBinary
	}
	return ws.OpText
}

// serverHeaderSize is that of an unmasked frame.
func serverHeaderSize(payload int) int {
	switch {
	case payload <= 125:
		return 2
	case payload < 1<<16:
		return 4
	}
	return session.Headroom
}

// putHeader writes an unmasked frame's header in its shortest form; dst has room for it.
func putHeader(dst []byte, first byte, payload int) {
	dst[0] = first
	switch serverHeaderSize(payload) {
	case 2:
		dst[1] = byte(payload)
	case 4:
		dst[1] = 126
		binary.BigEndian.PutUint16(dst[2:], uint16(payload))
	default:
		dst[1] = 127
		binary.BigEndian.PutUint64(dst[2:], uint64(payload))
	}
}

// controlFrame is a whole control frame; payload has at most 125 bytes.
func controlFrame(op ws.OpCode, payload []byte) []byte {
	f := make([]byte, 2, 2+len(payload))
	putHeader(f, finBit|byte(op), len(payload))
	return append(f, payload...)
}

// closeFrame is a close frame; a reason that does not fit is cut.
func closeFrame(code protocol.CloseCode, reason string) []byte {
	if code == closeEmpty {
		return controlFrame(ws.OpClose, nil)
	}
	return controlFrame(ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), reason))
}
