package gateway

import (
	"encoding/binary"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
)

const (
	maxFrameHeader = ws.MaxHeaderSize // of a client's frame: 2 bytes, 8 of length, 4 of mask
	maxControl     = 125              // bytes in a control frame
	firstGrowth    = 512              // bytes of a message's buffer to begin with
)

// verdict is what a sink wants done after a frame.
type verdict uint8

const (
	proceed verdict = iota
	pause           // the peer wants no more until Resume
	stop            // the connection is closing
)

// sink takes what a parser finds. Payloads are unmasked, and valid during the call.
type sink interface {
	// frame is called for each frame's header, before its payload; false ends the parse (the sink has closed).
	frame() bool
	message(op ws.OpCode, packed bool, payload []byte) (verdict, *violation)
	control(op ws.OpCode, payload []byte) (verdict, *violation)
}

// violation is why a connection must be closed.
type violation struct {
	code protocol.CloseCode
	why  string
}

// The rules of RFC 6455 that a client can break, and the limits.
var (
	errReservedBits   = &violation{protocol.CloseBadFrame, "reserved bits are set"}
	errOpCode         = &violation{protocol.CloseBadFrame, "unknown opcode"}
	errUnmasked       = &violation{protocol.CloseBadFrame, "client frames must be masked"}
	errControlSize    = &violation{protocol.CloseBadFrame, "control frames have at most 125 bytes"}
	errControlSplit   = &violation{protocol.CloseBadFrame, "control frames are not fragmented"}
	errContinuation   = &violation{protocol.CloseBadFrame, "continuation of no message"}
	errInterleaved    = &violation{protocol.CloseBadFrame, "a new message inside a fragmented one"}
	errLength         = &violation{protocol.CloseBadFrame, "length is not in its shortest form"}
	errLengthOverflow = &violation{protocol.CloseBadFrame, "length has its highest bit set"}
	errTooLarge       = &violation{protocol.CloseTooLarge, "message is too large"}
	errFragments      = &violation{protocol.CloseTooLarge, "message has too many fragments"}
)

// parser turns a stream of bytes, cut anywhere, into frames. It holds what has arrived of an unfinished message and
// nothing else: no buffer is made for what a header only claims.
type parser struct {
	limit   int // bytes in a message
	buffers *buffers
	deflate bool // the first frame of a message may have RSV1 set

	// The frame being read.
	inBody bool
	fin    bool
	op     ws.OpCode
	pos    uint8 // offset into mask
	headN  uint8 // bytes of head that have arrived
	head   [maxFrameHeader]byte
	mask   [4]byte
	need   int      // bytes of the payload still to come
	ctl    *control // nil, or what has come of a control frame

	// The message being collected.
	msgOp  ws.OpCode // of its first frame; 0: none
	packed bool
	frags  uint16
	msg    []byte
}

// control is the payload of a control frame that comes in pieces.
type control struct {
	buf [maxControl]byte
	n   uint8
}

// feed parses data, which it overwrites, until it is used up or the sink has enough, and returns what it left.
// After a violation or stop the parser must not be used again.
func (p *parser) feed(data []byte, s sink) (rest []byte, v verdict, err *violation) {
	for {
		if !p.inBody {
			if len(data) == 0 {
				return nil, proceed, nil
			}
			if data, err = p.header(data); err != nil {
				return nil, stop, err
			}
			if !p.inBody {
				return nil, proceed, nil
			}
			if !s.frame() {
				return nil, stop, nil
			}
		}
		part := data[:min(p.need, len(data))]
		data = data[len(part):]
		ws.Cipher(part, p.mask, int(p.pos))
		p.pos = (p.pos + uint8(len(part)&3)) & 3
		p.need -= len(part)
		if p.op.IsControl() {
			v, err = p.controlPart(part, s)
		} else {
			v, err = p.messagePart(part, s)
		}
		if err != nil || v != proceed {
			return data, v, err
		}
		if p.need > 0 {
			return nil, proceed, nil
		}
	}
}

// unfinished reports whether a message or frame has begun and not ended, and how many bytes of it are here.
func (p *parser) unfinished() (bytes int, ok bool) {
	bytes = int(p.headN) + len(p.msg)
	if p.ctl != nil {
		bytes += int(p.ctl.n)
	}
	return bytes, p.headN > 0 || p.inBody || p.msgOp != 0
}

func (p *parser) controlPart(part []byte, s sink) (verdict, *violation) {
	if p.need > 0 && p.ctl == nil {
		p.ctl = new(control)
	}
	if c := p.ctl; c != nil {
		c.n += uint8(copy(c.buf[c.n:], part))
		part = c.buf[:c.n]
	}
	if p.need > 0 {
		return proceed, nil
	}
	p.ctl = nil
	p.inBody = false
	return s.control(p.op, part)
}

func (p *parser) messagePart(part []byte, s sink) (verdict, *violation) {
	whole, collected := part, p.need > 0 || !p.fin || len(p.msg) > 0
	if collected {
		p.collect(part)
		whole = p.msg
	}
	if p.need > 0 {
		return proceed, nil
	}
	p.inBody = false
	if !p.fin {
		return proceed, nil
	}
	op, packed := p.msgOp, p.packed
	p.msgOp, p.packed, p.frags, p.msg = 0, false, 0, nil
	v, err := s.message(op, packed, whole)
	if collected {
		p.buffers.give(whole)
	}
	return v, err
}

// collect appends what has arrived of a message. Its buffer grows with what came, never by what a header claims: the
// claim can only keep it smaller.
func (p *parser) collect(part []byte) {
	want := len(p.msg) + len(part)
	if want > cap(p.msg) {
		p.msg = append(p.larger(want), p.msg...)
	}
	p.msg = append(p.msg, part...)
}

func (p *parser) larger(want int) []byte {
	if want > pooledBuffer/4 && want <= pooledBuffer {
		return p.buffers.take()
	}
	size := max(2*cap(p.msg), want, firstGrowth)
	if p.fin {
		size = min(size, want+p.need)
	}
	return make([]byte, 0, size)
}

// header consumes data until a frame's header is complete (inBody) or data is used up. Each rule is checked as soon
// as its bytes are there.
func (p *parser) header(data []byte) ([]byte, *violation) {
	if p.headN < 2 {
		n := copy(p.head[p.headN:2], data)
		p.headN += uint8(n)
		data = data[n:]
		if p.headN < 2 {
			return nil, nil
		}
		if err := p.begin(); err != nil {
			return nil, err
		}
	}
	size := headerSize(p.head[1])
	n := copy(p.head[p.headN:size], data)
	p.headN += uint8(n)
	data = data[n:]
	if int(p.headN) < size {
		return nil, nil
	}
	return data, p.open(size)
}

// headerSize is that of a masked frame whose second byte is b.
func headerSize(b byte) int {
	switch b & 0x7f {
	case 126:
		return 2 + 2 + 4
	case 127:
		return 2 + 8 + 4
	}
	return 2 + 4
}

// begin checks what a frame's first two bytes tell.
func (p *parser) begin() *violation {
	rsv, op, fin := p.head[0]&0x70, ws.OpCode(p.head[0]&0x0f), p.head[0]&0x80 != 0
	first := op == ws.OpText || op == ws.OpBinary
	switch {
	case rsv != 0 && !(rsv == 0x40 && first && p.deflate):
		return errReservedBits
	case op.IsReserved():
		return errOpCode
	case p.head[1]&0x80 == 0:
		return errUnmasked
	case op.IsControl() && !fin:
		return errControlSplit
	case op.IsControl() && p.head[1]&0x7f > maxControl:
		return errControlSize
	case op == ws.OpContinuation && p.msgOp == 0:
		return errContinuation
	case first && p.msgOp != 0:
		return errInterleaved
	}
	p.op, p.fin = op, fin
	return nil
}

// open checks the length and starts the frame's body.
func (p *parser) open(size int) *violation {
	length := uint64(p.head[1] & 0x7f)
	switch length {
	case 126:
		if length = uint64(binary.BigEndian.Uint16(p.head[2:])); length < 126 {
			return errLength
		}
	case 127:
		length = binary.BigEndian.Uint64(p.head[2:])
		if length>>63 != 0 {
			return errLengthOverflow
		}
		if length < 1<<16 {
			return errLength
		}
	}
	if !p.op.IsControl() {
		if p.frags++; p.frags > protocol.MaxFragments {
			return errFragments
		}
		if length > uint64(max(0, p.limit-len(p.msg))) {
			return errTooLarge
		}
		if p.op != ws.OpContinuation {
			p.msgOp, p.packed = p.op, p.head[0]&0x40 != 0
		}
	}
	p.need, p.pos, p.headN, p.inBody = int(length), 0, 0, true
	copy(p.mask[:], p.head[size-4:size])
	return nil
}
