package client

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// verdict says what is to be done with a message that came.
type verdict int

const (
	fresh  verdict = iota // hand it over
	inHand                // the application has it: ignore the repeat
	acked                 // it was acked: ack the repeat
)

// dedupe hands each message over once. It knows those in hand, and the last size ones that were acked.
type dedupe struct {
	size int

	mu   sync.Mutex // guards the following
	hand map[digest]struct{}
	done map[digest]struct{}
	last []digest // of done, a ring
	next int
}

// digest stands for a topic and an id; two that collide would have to be made to.
type digest [16]byte

func newDedupe(size int) *dedupe {
	return &dedupe{size: size, hand: make(map[digest]struct{}), done: make(map[digest]struct{})}
}

// begin takes a message in hand, if it is fresh.
func (d *dedupe) begin(key pubKey) verdict {
	id := key.digest()
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.done[id]; ok {
		return acked
	}
	if _, ok := d.hand[id]; ok {
		return inHand
	}
	d.hand[id] = struct{}{}
	return fresh
}

// knows reports whether a message is in hand or was acked.
func (d *dedupe) knows(key pubKey) bool {
	id := key.digest()
	d.mu.Lock()
	defer d.mu.Unlock()
	_, hand := d.hand[id]
	_, done := d.done[id]
	return hand || done
}

// finish takes a message out of hand, for good or (false) to be handed over again when it comes again.
func (d *dedupe) finish(key pubKey, forGood bool) {
	id := key.digest()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.hand, id)
	if _, ok := d.done[id]; ok || !forGood {
		return
	}
	if len(d.last) < d.size {
		d.last = append(d.last, id)
	} else {
		delete(d.done, d.last[d.next])
		d.last[d.next] = id
		d.next = (d.next + 1) % d.size
	}
	d.done[id] = struct{}{}
}

func (k pubKey) digest() digest {
	var buf [320]byte // a topic and an id of the longest
	b := binary.BigEndian.AppendUint32(buf[:0], uint32(len(k.topic)))
	b = append(append(b, k.topic...), k.id...)
	sum := sha256.Sum256(b)
	return digest(sum[:16])
}
