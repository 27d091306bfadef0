package gateway

import (
	"github.com/gobwas/ws"

	"github.com/fastport/fastport/session"
)

const (
	batchBytes = 64 << 10  // copied into one write
	batchParts = 64        // slices in one write
	copyBelow  = 8 << 10   // a shorter frame is copied, a longer one written from where it lies
	flushBytes = 256 << 10 // written for one connection before others have their turn
	lanePooled = 256       // entries of a lane that is kept for another connection
)

// entry is one frame on its way out, or several of a run.
type entry struct {
	wire []byte // header and payload
	sent func() // nil, or called once the kernel has the frame or the socket is gone
	more uint16 // frames behind the first
	kind entryKind
}

// entryKind tells frames apart that the outbox counts.
type entryKind uint8

const (
	kindOther entryKind = iota
	kindPing
	kindPong
)

// lane is a queue of frames.
type lane struct {
	queue []entry
	first int
}

func (l *lane) len() int { return len(l.queue) - l.first }

func (l *lane) push(e entry) {
	// Move down instead of growing for ever where the lane is never empty.
	if len(l.queue) == cap(l.queue) && l.first > len(l.queue)/2 {
		n := copy(l.queue, l.queue[l.first:])
		clear(l.queue[n:])
		l.queue, l.first = l.queue[:n], 0
	}
	l.queue = append(l.queue, e)
}

func (l *lane) pop() entry {
	e := l.queue[l.first]
	l.queue[l.first] = entry{}
	if l.first++; l.first == len(l.queue) {
		l.queue, l.first = l.queue[:0], 0
	}
	return e
}

// outbox is what waits for one connection. A connection has one only while something waits.
//
// Its bounds: ControlBytes of responses, OutboxBytes of acks and messages together, as much of file chunks; a frame
// that finds its share full is refused. Only an empty share takes a frame larger than itself.
type outbox struct {
	lanes [session.Lanes]lane
	bytes [session.Lanes]int
	head  entry  // the rest of a frame that the kernel took in part; it goes before all lanes
	pong  []byte // payload of the newest ping that is not in the queue yet
	pongs int    // pongs in the queue: at most one, however many pings came
	pings int    // pings in the queue
}

func (o *outbox) empty() bool {
	if o.head.wire != nil {
		return false
	}
	for i := range o.lanes {
		if o.lanes[i].len() > 0 {
			return false
		}
	}
	return true
}

// total is how many bytes wait.
func (o *outbox) total() int {
	n := len(o.head.wire)
	for _, b := range o.bytes {
		n += b
	}
	return n
}

// small reports whether an empty outbox is worth keeping for another connection.
func (o *outbox) small() bool {
	for i := range o.lanes {
		if cap(o.lanes[i].queue) > lanePooled {
			return false
		}
	}
	return true
}

// share is how many bytes wait in lane l's share of the bounds, and what that is.
func (o *outbox) share(l session.Lane, cfg *Config) (used, bound int) {
	switch l {
	case session.LaneControl:
		return o.bytes[l], cfg.ControlBytes
	case session.LaneAck, session.LaneMessage:
		return o.bytes[session.LaneAck] + o.bytes[session.LaneMessage], cfg.OutboxBytes
	}
	return o.bytes[l], cfg.OutboxBytes
}

// room reports whether size more bytes fit on lane l.
func (o *outbox) room(l session.Lane, size int, cfg *Config) bool {
	used, bound := o.share(l, cfg)
	return used == 0 || used+size <= bound
}

// pushRun queues as many of a joined run's frames, from one on, as there is room for, as one entry.
func (o *outbox) pushRun(l session.Lane, r *session.Run, from, to int, cfg *Config) (queued int) {
	ends, begin := r.Transport.Ends, 0
	if from > 0 {
		begin = ends[from-1]
	}
	used, bound := o.share(l, cfg)
	for to > from && used+ends[to-1]-begin > bound && (used > 0 || to > from+1) {
		to--
	}
	if to > from {
		o.push(l, entry{wire: r.Transport.Wire[begin:ends[to-1]], more: uint16(to - from - 1)})
	}
	return to - from
}

func (o *outbox) push(l session.Lane, e entry) {
	o.lanes[l].push(e)
	o.bytes[l] += len(e.wire)
}

// answer queues a pong. Of pings that come faster than pongs leave, only the newest is answered (RFC 6455, 5.5.3).
func (o *outbox) answer(payload []byte) {
	if o.pongs > 0 {
		o.pong = append(make([]byte, 0, len(payload)), payload...)
		return
	}
	o.pongs++
	o.push(session.LaneControl, entry{wire: controlFrame(ws.OpPong, payload), kind: kindPong})
}

// batch is what one write takes: lent by whoever flushes.
type batch struct {
	parts [][]byte
	room  []byte // holds the copies of small frames
	run   int    // where in room the last part begins; -1: it lies elsewhere
	total int
	taken [session.Lanes]int // entries of each lane that are in it
	sent  []func()           // to be called without locks
}

func newBatch() *batch {
	return &batch{parts: make([][]byte, 0, batchParts), room: make([]byte, 0, batchBytes)}
}

// fill puts the next frames into b, in the order of lanes, and leaves them queued: drop takes off what was written.
func (o *outbox) fill(b *batch) {
	clear(b.parts)
	b.parts, b.room, b.run, b.total, b.taken = b.parts[:0], b.room[:0], -1, 0, [session.Lanes]int{}
	if o.head.wire != nil {
		b.add(o.head.wire)
	}
	for i := range o.lanes {
		l := &o.lanes[i]
		for _, e := range l.queue[l.first:] {
			if !b.add(e.wire) {
				return
			}
			b.taken[i]++
		}
	}
}

// add reports whether wire fitted in.
func (b *batch) add(wire []byte) bool {
	small := len(wire) < copyBelow
	switch {
	case b.total > 0 && b.total+len(wire) > flushBytes, small && len(b.room)+len(wire) > cap(b.room):
		return false
	case small && b.run >= 0:
		b.room = append(b.room, wire...)
		b.parts[len(b.parts)-1] = b.room[b.run:]
	case len(b.parts) == batchParts:
		return false
	case small:
		b.run = len(b.room)
		b.room = append(b.room, wire...)
		b.parts = append(b.parts, b.room[b.run:])
	default:
		b.run = -1
		b.parts = append(b.parts, wire)
	}
	b.total += len(wire)
	return true
}

// drop takes the first n bytes of b off the queue, and counts whole frames.
func (o *outbox) drop(b *batch, n int) (frames int) {
	done := func(e entry) {
		frames += 1 + int(e.more)
		switch e.kind {
		case kindPing:
			o.pings--
		case kindPong:
			o.pongs--
		}
		if e.sent != nil {
			b.sent = append(b.sent, e.sent)
		}
	}
	if o.head.wire != nil {
		if n < len(o.head.wire) {
			o.head.wire = o.head.wire[n:]
			return frames
		}
		n -= len(o.head.wire)
		done(o.head)
		o.head = entry{}
	}
	for i := range o.lanes {
		for range b.taken[i] {
			if n == 0 {
				break
			}
			e := o.lanes[i].pop()
			o.bytes[i] -= len(e.wire)
			if n < len(e.wire) {
				e.wire = e.wire[n:]
				o.head = e
				n = 0
				break
			}
			n -= len(e.wire)
			done(e)
		}
	}
	if o.pong != nil && o.pongs == 0 {
		payload := o.pong
		o.pong = nil
		o.answer(payload)
	}
	return frames
}

// discard empties lane l, and hands out the callbacks of what was in it.
func (o *outbox) discard(l session.Lane, sent []func()) []func() {
	for o.lanes[l].len() > 0 {
		if e := o.lanes[l].pop(); e.sent != nil {
			sent = append(sent, e.sent)
		}
	}
	o.bytes[l] = 0
	return sent
}

// takeSent hands out the callbacks that are due.
func (b *batch) takeSent() []func() {
	sent := b.sent
	b.sent = b.sent[:0]
	return sent
}
