package session

import (
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// maxFeed is how many chunks of one file wait in one socket. The rest waits in the window, which all receivers share,
// so that files fill nobody's outbox.
const maxFeed = 16

// fileReceiver is where one receiver stands. Its transfer's lock guards it.
type fileReceiver struct {
	t          *transfer
	peer       *filePeer // nil: away, since moved
	subscriber storage.Subscriber
	place      placeName // of a connection at another node
	version    int
	turn       int // counts its connections, so that an old one's callbacks are known

	begun  bool  // init_file is out
	next   int64 // the chunk to hand its socket
	queued int   // chunks that the socket has not taken yet
	acked  int64 // the first that it has not written; in version 1, that its socket has not taken
	ended  bool  // end_file is out
	moved  time.Time
}

// feed hands the socket what it may have. A socket that refuses is tried again when it has taken something, or at the
// next sweep.
func (r *fileReceiver) feed() {
	if r.peer == nil {
		return
	}
	t := r.t
	if !r.begun {
		if !r.peer.socket.Send(LaneFile, t.init) {
			return
		}
		r.begun = true
	}
	for r.next >= t.base && r.next < t.high() && r.queued < maxFeed {
		turn, index := r.turn, r.next
		c := t.window[index-t.base]
		c.hold()
		if !r.peer.socket.SendChunk(&c.Packet, func() { c.letGo(); r.took(turn, index) }) {
			c.letGo()
			return
		}
		t.ts.bytesOut.Add(uint64(len(c.Payload()) - protocol.ChunkHeader))
		r.next++
		r.queued++
	}
	if t.end != nil && !r.ended && r.next == t.high() {
		r.ended = r.peer.socket.Send(LaneFile, t.end)
	}
}

// took tells that the socket has taken a chunk whole.
func (r *fileReceiver) took(turn int, index int64) {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	if r.t.over || r.turn != turn {
		return
	}
	r.queued--
	r.moved = time.Now()
	if r.version < protocol.Version2 {
		r.acked = index + 1
		r.t.advance()
		return
	}
	r.feed()
}

// owes reports whether something of it is awaited: that its socket takes what is there, or that it acks.
func (r *fileReceiver) owes() bool {
	ready := r.next >= r.t.base && r.next < r.t.high()
	return !r.begun || r.queued > 0 || ready || r.next-r.acked >= protocol.FileAckEvery || r.t.end != nil && (!r.ended || r.acked < r.t.high())
}

// part ends its connection's share in the file. It may come back.
func (r *fileReceiver) part() {
	r.turn++
	r.peer, r.queued, r.ended, r.moved = nil, 0, false, time.Now()
}

// ack takes a version 2 receiver's file_ack.
func (t *transfer) ack(p *filePeer, next int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.receiver(p)
	if r == nil || r.version < protocol.Version2 || next <= r.acked || next > r.next {
		return
	}
	r.acked, r.moved = next, time.Now()
	t.advance()
}

// resume puts a receiver back to next, on this connection.
func (t *transfer) resume(p *filePeer, next int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || p == t.sender {
		return
	}
	tell := t.unanswered
	before := len(t.receivers)
	r := t.returning(p)
	if r == nil {
		sendFileError(p, t.text, protocol.NotFound, "this file was not sent to you, or you were away too long")
		return
	}
	if r.peer != nil && r.peer != p {
		r.peer.dismiss()
	}
	r.part()
	next = min(next, t.total)
	r.peer, r.place, r.version, r.begun, r.next, r.acked = p, p.place(), p.version, true, next, next
	t.goOn(r, tell || len(t.receivers) > before)
}

// goOn has the file go on with a receiver that came back. tell: its sender is told in any case.
func (t *transfer) goOn(r *fileReceiver, tell bool) {
	t.unanswered = false
	if r.acked < t.base {
		if t.sender != nil && t.sender.version < protocol.Version2 {
			t.leave(r, protocol.NotFound, "the sender cannot go back so far: ask it for the file again")
			return
		}
		t.goBack(r.acked)
	}
	t.advance()
	if tell && !t.over {
		t.progress(true)
	}
}

// returning finds whom a connection that resumes stands for, nil where that is nobody.
func (t *transfer) returning(p *filePeer) *fileReceiver {
	if r := t.receiver(p); r != nil {
		return r
	}
	var live *fileReceiver
	for _, r := range t.receivers {
		switch {
		case r.subscriber != p.subscriber:
		case r.peer == nil:
			// Ephemeral receivers cannot be told apart: that it knows the fileId shows that it was one of them, and
			// it takes the place of one that is missing.
			return r
		case r.subscriber != "":
			live = r
		}
	}
	if live != nil && live.subscriber[0] == 'c' {
		return live // a clientId has one connection: the old one is half-open
	}
	if live == nil && t.heirUntil.IsZero() {
		return nil
	}
	// Who knows the id of a file that comes from a home that is gone was one of its receivers there.
	// Of a user's several connections nobody can say which this one replaces. The dead one leaves for being too slow.
	r := &fileReceiver{t: t, subscriber: p.subscriber, acked: t.base, moved: time.Now()}
	t.receivers = append(t.receivers, r)
	return r
}
