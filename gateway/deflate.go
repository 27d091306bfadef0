package gateway

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"sync"

	"github.com/fastport/fastport/session"
)

// deflateAbove is the payload size from which deflating is tried: below it the header eats the gain.
const deflateAbove = 256

// deflateTail ends a deflated message and is left out on the wire (RFC 7692, 7.2.1). For reading, an empty final
// block follows it, so that the reader finds an end.
const (
	deflateTail = "\x00\x00\xff\xff"
	inflateTail = deflateTail + "\x01\x00\x00\xff\xff"
)

// deflater is permessage-deflate without context takeover: each message stands alone, so one deflated form serves
// all receivers, and a connection holds no window.
type deflater struct {
	writers sync.Pool // of *flate.Writer
	readers sync.Pool // of io.ReadCloser with flate.Resetter
	buffers *buffers
}

// framed is p with its header, deflated if that makes it smaller; made once for all connections that get it so.
func (d *deflater) framed(p *session.Packet) []byte {
	p.Transport.Deflated.Do(func() { p.Transport.Small = d.deflate(p) })
	if p.Transport.Small == nil {
		return framed(p)
	}
	return p.Transport.Small
}

func (d *deflater) deflate(p *session.Packet) []byte {
	payload := p.Payload()
	if len(payload) < deflateAbove {
		return nil
	}
	var out bytes.Buffer
	out.Grow(session.Headroom + len(payload)/2)
	out.Write(make([]byte, session.Headroom))
	w, ok := d.writers.Get().(*flate.Writer)
	if ok {
		w.Reset(&out)
	} else {
		w, _ = flate.NewWriter(&out, flate.BestSpeed) // the level is a legal one
	}
	defer d.writers.Put(w)
	w.Write(payload) // a bytes.Buffer takes everything
	w.Flush()
	buf := bytes.TrimSuffix(out.Bytes(), []byte(deflateTail))
	size := len(buf) - session.Headroom
	if size >= len(payload) {
		return nil
	}
	start := session.Headroom - serverHeaderSize(size)
	putHeader(buf[start:], finBit|packedBit|byte(opCode(p)), size)
	return buf[start:]
}

// inflate returns the message in a buffer that belongs to buffers. It never makes more than limit bytes.
func (d *deflater) inflate(packed []byte, limit int) ([]byte, *violation) {
	src := io.MultiReader(bytes.NewReader(packed), bytes.NewReader([]byte(inflateTail)))
	r, ok := d.readers.Get().(io.ReadCloser)
	if ok {
		r.(flate.Resetter).Reset(src, nil)
	} else {
		r = flate.NewReader(src)
	}
	defer d.readers.Put(r)
	out := d.buffers.take()
	for {
		if len(out) == cap(out) {
			grown := append(out, 0)[:len(out)]
			d.buffers.give(out)
			out = grown
		}
		room := out[len(out):min(cap(out), limit+1)]
		n, err := r.Read(room)
		if out = out[:len(out)+n]; len(out) > limit {
			d.buffers.give(out)
			return nil, errTooLarge
		}
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			d.buffers.give(out)
			return nil, errBadPacked
		}
	}
}
