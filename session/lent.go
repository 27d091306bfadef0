package session

import (
	"context"
	"sync/atomic"

	"github.com/fastport/fastport/protocol"
)

// senderCredit is how many chunks of a sender at another node may be on their way to the file's home.
const senderCredit = 16

// lent is a connection at another node, as the home of its file sees it: a Socket whose frames cross to the guest.
type lent struct {
	v      *visitor
	number uint64
	gone   atomic.Bool // the connection is closed, or its node out of reach

	// Guarded by visitor.mu.
	sent []func() // of the chunks that the real socket has not taken yet
	// A sender's: what came while the window was full, in order. Each reports whether the window is full behind it.
	waiting bool // the window is full
	again   bool // Resume came before it was known to be
	queue   []func() (wait bool)
	active  bool // a goroutine works the queue off
}

var _ Socket = (*lent)(nil)

// Send passes a frame on. The guest keeps what its real socket has no room for.
func (s *lent) Send(l Lane, p *Packet) bool {
	kind, numbers := linkFrame, []uint64{s.number, uint64(l)}
	switch p.file {
	case fileBegins:
		kind, numbers = linkBegin, numbers[:1]
	case fileEnds:
		kind, numbers = linkFinish, numbers[:1]
	}
	return s.v.wire.link.Send(appendLink(nil, kind, numbers), p.Payload(), nil)
}

// SendAll is Send for each.
func (s *lent) SendAll(l Lane, r *Run, from, to int) int { return sendEach(s, l, r, from, to) }

// sendEach is a socket's SendAll by its Send.
func sendEach(s Socket, l Lane, r *Run, from, to int) int {
	for i, p := range r.Packets[from:to] {
		if !s.Send(l, p) {
			return i
		}
	}
	return to - from
}

// SendChunk passes a chunk to the guest, unless it has it, and gives it to the connection.
func (s *lent) SendChunk(p *Packet, sent func()) bool {
	c, err := protocol.ParseChunk(p.Payload())
	if err != nil {
		return false // only what was parsed before gets here
	}
	v := s.v
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.gone {
		return false
	}
	if v.has.add(int64(c.Index), nil) {
		p.chunk.hold()
		if !v.wire.link.Send([]byte{byte(linkChunk)}, p.Payload(), p.chunk.letGo) {
			p.chunk.letGo()
			return false
		}
	}
	if !v.wire.send(linkGive, s.number, uint64(c.Index)) {
		return false
	}
	s.sent = append(s.sent, sent)
	return true
}

// Resume tells that the window has room again.
func (s *lent) Resume() {
	s.v.mu.Lock()
	defer s.v.mu.Unlock()
	if s.waiting {
		s.credit()
	}
	s.waiting, s.again = false, true
	s.work()
}

// Ping and Close are the guest's own business: files need neither.
func (s *lent) Ping()                            {}
func (s *lent) Close(protocol.CloseCode, string) {}

// dismiss tells the guest that the connection has no place in the file any more.
func (s *lent) dismiss() {
	s.v.wire.send(linkDismiss, s.number)
	s.v.forget(s.number)
}

// do queues what a sender said. False: it has sent more than it may.
func (s *lent) do(op func() (wait bool)) bool {
	s.v.mu.Lock()
	defer s.v.mu.Unlock()
	if len(s.queue) > senderCredit+2 { // chunks, an end_file and a cancel_file
		return false
	}
	s.queue = append(s.queue, op)
	s.work()
	return true
}

// work has the queue worked off by a goroutine, unless one does or must wait. It runs under visitor.mu.
func (s *lent) work() {
	if s.active || s.waiting || len(s.queue) == 0 || s.v.gone {
		return
	}
	s.active = s.v.ts.fleet.spawn(func(context.Context) { s.drain() })
}

func (s *lent) drain() {
	v := s.v
	v.mu.Lock()
	defer v.mu.Unlock()
	for len(s.queue) > 0 && !s.waiting && !v.gone {
		op := s.queue[0]
		s.queue = s.queue[1:]
		s.again = false
		v.mu.Unlock()
		wait := op()
		v.mu.Lock()
		if s.waiting = wait && !s.again; wait && s.again {
			s.credit()
		}
	}
	s.active = false
}

// credit lets the sender send a chunk for the one that has its place in the window.
func (s *lent) credit() { s.v.wire.send(linkCredit, s.number, 1) }

// owe takes in that the real socket has a chunk of an earlier home's to take.
func (s *lent) owe(sent func()) {
	s.v.mu.Lock()
	defer s.v.mu.Unlock()
	s.sent = append(s.sent, sent)
}

// took calls back for the oldest chunk that was given, if one was.
func (s *lent) took() {
	s.v.mu.Lock()
	if len(s.sent) == 0 {
		s.v.mu.Unlock()
		return
	}
	sent := s.sent[0]
	s.sent = s.sent[1:]
	s.v.mu.Unlock()
	sent()
}

// buffered are the chunks that a guest holds: the newest protocol.FileWindow that crossed, the same at both ends of a
// link, since both forget the oldest first. The home keeps only their indexes.
type buffered struct {
	chunks map[int64]*chunk
	order  []int64
}

// add takes a chunk in, and holds it for the caller, who lets go of one that is there. False: it is.
func (b *buffered) add(index int64, c *chunk) (new bool) {
	if _, there := b.chunks[index]; there {
		return false
	}
	if b.chunks == nil {
		b.chunks = make(map[int64]*chunk)
	}
	b.chunks[index] = c
	b.order = append(b.order, index)
	if len(b.order) > protocol.FileWindow {
		if oldest := b.chunks[b.order[0]]; oldest != nil {
			oldest.letGo()
		}
		delete(b.chunks, b.order[0])
		b.order = b.order[1:]
	}
	return true
}

// empty lets go of all.
func (b *buffered) empty() {
	for _, c := range b.chunks {
		if c != nil {
			c.letGo()
		}
	}
	*b = buffered{}
}

// place names p among all connections of the cluster, if it is at another node.
func (p *filePeer) place() placeName {
	if s, ok := p.socket.(*lent); ok {
		return placeName{s.v.guest, s.number}
	}
	return placeName{}
}

// through is the guest by which p is connected; nil: it is connected here.
func (p *filePeer) through() *visitor {
	if s, ok := p.socket.(*lent); ok {
		return s.v
	}
	return nil
}

// isGone reports whether p is known to be closed; of connections here it is known otherwise.
func (p *filePeer) isGone() bool {
	s, ok := p.socket.(*lent)
	return ok && s.gone.Load()
}

// dismiss tells the node of a connection elsewhere that it has no place in the file any more.
func (p *filePeer) dismiss() {
	if s, ok := p.socket.(*lent); ok {
		s.dismiss()
	}
}
