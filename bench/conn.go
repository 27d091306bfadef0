package main

import (
	"syscall"
	"unsafe"

	"github.com/gobwas/ws"
)

// Conn is one websocket held as a bare descriptor. After the blocking set-up
// (dial, upgrade, log in, subscribe) the single event loop owns it.
type Conn struct {
	fd      int
	id      int
	topic   int
	extra   int    // further topics, each -pairs from the one before
	device  string // fastport: the durable subscriber that it is, once it has logged in
	resumed bool   // fastport: it was that before
	sub     bool

	out    []byte // bytes not yet written
	dirty  bool
	wantW  bool
	left   []byte // incomplete frame carried to the next read
	frem   int64  // stream protocols: payload bytes left in the current frame; else: bytes of a big frame to skip
	big    bool
	sleft  []byte // stream protocols: incomplete packet
	pskip  int    // stream protocols: payload bytes of a big packet still to skip
	off    int    // where the marker was in the last delivery
	closed bool

	seq   uint32 // publisher: last sequence sent
	acked uint64
	deliv uint64
	next  uint32     // subscriber: the sequence after the highest seen
	seen  [16]uint64 // which of the last 1024 sequences have come
	ctr   uint64
	peer  *Conn
	tmp   []byte
	acks  []byte // fastport: ids not yet acked, as JSON strings
}

var maskKey = [4]byte{0x37, 0xa9, 0x5c, 0x1e} // not zero: some servers skip unmasking for a zero key

// frame appends one masked client frame.
func (c *Conn) frame(op byte, p []byte) { c.out = appendFrame(c.out, op, p) }

func appendFrame(dst []byte, op byte, p []byte) []byte {
	n := len(p)
	switch {
	case n < 126:
		dst = append(dst, 0x80|op, 0x80|byte(n))
	case n < 65536:
		dst = append(dst, 0x80|op, 0x80|126, byte(n>>8), byte(n))
	default:
		dst = append(dst, 0x80|op, 0x80|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	dst = append(dst, maskKey[:]...)
	k := len(dst)
	dst = append(dst, p...)
	ws.Cipher(dst[k:], maskKey, 0)
	return dst
}

func closeFD(fd int) {
	lg := syscall.Linger{Onoff: 1}
	syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &lg)
	syscall.Close(fd)
}

func rawRead(fd int, p []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), e
}

func rawWrite(fd int, p []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), e
}
