package dataplane

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// headerSize is the length in front of a frame: 4 bytes, big-endian.
const headerSize = 4

var errFrame = errors.New("dataplane: a frame longer than any")

// reader takes frames off a stream.
type reader struct {
	from io.Reader
	head [headerSize]byte
	buf  []byte // grows to the longest frame, maxFrame at most
}

func newReader(from io.Reader) *reader { return &reader{from: from} }

// next reads a frame. It is valid until the next call.
func (r *reader) next() ([]byte, error) {
	if _, err := io.ReadFull(r.from, r.head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(r.head[:])
	if n > maxFrame {
		return nil, fmt.Errorf("%w: %d bytes", errFrame, n)
	}
	if int(n) > cap(r.buf) {
		r.buf = make([]byte, n)
	}
	r.buf = r.buf[:n]
	if _, err := io.ReadFull(r.from, r.buf); err != nil {
		return nil, err
	}
	return r.buf, nil
}

// appendHeader appends what stands in front of a frame of size bytes.
func appendHeader(dst []byte, size int) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(size))
}
