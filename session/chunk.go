package session

import (
	"sync"
	"sync/atomic"

	"github.com/fastport/fastport/protocol"
)

// chunk is a file's chunk on its way to its receivers. Whoever keeps one holds it, and lets go of it once; behind the
// last its memory is used again. One that somebody forgets to let go of is the collector's.
type chunk struct {
	Packet
	chunks  *chunks
	memory  *chunkMemory
	holders atomic.Int32
}

type chunkMemory [Headroom + protocol.ChunkHeader + maxChunk]byte

// chunks lends the memory of chunks. The zero value is ready.
type chunks struct {
	pool  sync.Pool
	lent  atomic.Int64 // chunks that are held
	spoil bool         // what was let go of is overwritten, so that who still reads it notices
}

// take makes a chunk of a frame, of which maxChunk bytes at most are payload. The caller holds it.
func (cs *chunks) take(frame []byte) *chunk {
	memory, ok := cs.pool.Get().(*chunkMemory)
	if !ok {
		memory = new(chunkMemory)
	}
	c := &chunk{chunks: cs, memory: memory}
	c.Binary, c.chunk, c.buf = true, c, append(memory[:Headroom], frame...)
	c.holders.Store(1)
	cs.lent.Add(1)
	return c
}

func (c *chunk) hold() { c.holders.Add(1) }

func (c *chunk) letGo() {
	switch n := c.holders.Add(-1); {
	case n > 0:
		return
	case n < 0:
		panic("session: a chunk was let go of once too often")
	}
	c.chunks.lent.Add(-1)
	if c.chunks.spoil {
		for i := range c.memory {
			c.memory[i] = 0xdd
		}
	}
	c.chunks.pool.Put(c.memory)
}

// letGoOf lets go of each.
func letGoOf(cs []*chunk) {
	for _, c := range cs {
		c.letGo()
	}
}
