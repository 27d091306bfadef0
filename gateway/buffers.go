package gateway

import "sync"

// pooledBuffer is the size of the buffers that are used again: a file chunk's message fits.
const pooledBuffer = 128 << 10

// buffers lends buffers of one size. The zero value is ready.
type buffers struct{ pool sync.Pool }

// take returns an empty buffer of pooledBuffer capacity.
func (b *buffers) take() []byte {
	if a, ok := b.pool.Get().(*[pooledBuffer]byte); ok {
		return a[:0]
	}
	return new([pooledBuffer]byte)[:0]
}

// give takes a buffer back if it is one of take's; nobody may use it any more.
func (b *buffers) give(buf []byte) {
	if cap(buf) == pooledBuffer {
		b.pool.Put((*[pooledBuffer]byte)(buf[:pooledBuffer]))
	}
}
