package session

import (
	"slices"
	"time"

	"github.com/fastport/fastport/protocol"
)

// placeState is how far a connection is that comes back with its node, and knows nothing of it.
type placeState struct {
	name         placeName
	begun, ended bool
	next         int64 // the chunk to be given next
	queued       int64 // given, and not taken by its socket yet
	acked        int64
}

// visited takes in that v links a guest to the file.
func (t *transfer) visited(v *visitor) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.over:
		v.over()
	case !slices.Contains(t.visitors, v):
		t.visitors = append(t.visitors, v)
	}
}

func (t *transfer) visitorOf(guest string) *visitor {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, v := range t.visitors {
		if v.guest == guest {
			return v
		}
	}
	return nil
}

// farewell tells the guests that the file is over. It runs under the lock.
func (t *transfer) farewell() {
	for _, v := range t.visitors {
		v.over()
	}
	t.visitors = nil
}

func (t *transfer) isStarting() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.starting
}

// has reports whether p receives the file.
func (t *transfer) has(p *filePeer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.receiver(p) != nil
}

// sends reports whether p sends the file.
func (t *transfer) sends(p *filePeer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.over && t.sender == p
}

// join makes p a receiver although its node was late to name it.
func (t *transfer) join(p *filePeer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.over:
	case t.sender != nil && t.sender.version < protocol.Version2 && t.base > 0:
		sendFileError(p, t.text, protocol.NotFound, "the sender cannot go back so far: ask it for the file again")
	default:
		t.add(p)
		if t.base > 0 {
			t.goBack(0)
		}
		t.advance()
	}
}

// rejoin takes back a connection whose node had lost this home, or the one before it. False: it has no place here.
func (t *transfer) rejoin(p *filePeer, st placeState, welcome bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || st.next > t.total {
		return false
	}
	var r *fileReceiver
	for _, other := range t.receivers {
		if other.peer == nil && other.place == st.name {
			r = other
		}
	}
	if r == nil {
		if t.heirUntil.IsZero() && !t.starting && !welcome {
			return false
		}
		r = t.add(p)
	}
	r.part()
	r.peer, r.version, r.place, r.moved = p, p.version, st.name, time.Now()
	r.begun, r.ended, r.next, r.acked, r.queued = st.begun, st.ended, st.next, st.acked, int(st.queued)
	turn := r.turn
	for i := st.next - st.queued; i < st.next; i++ {
		p.socket.(*lent).owe(func() { r.took(turn, i) })
	}
	t.goOn(r, true)
	return true
}

// guestLost parts what was connected through a guest: since it was last heard, so that nobody waits for it longer than
// for a receiver that is away.
func (t *transfer) guestLost(v *visitor, heard time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.visitors = slices.DeleteFunc(t.visitors, func(other *visitor) bool { return other == v })
	if t.over {
		return
	}
	for _, r := range t.receivers {
		if r.peer != nil && r.peer.through() == v {
			r.part()
			r.moved = heard
		}
	}
	if t.sender != nil && t.sender.through() == v {
		t.senderLost(heard)
	}
}

// sweepHeir ends the time in which old receivers may come. It runs under the lock.
func (t *transfer) sweepHeir(now time.Time) {
	if t.over || t.heirUntil.IsZero() || now.Before(t.heirUntil) {
		return
	}
	t.heirUntil = time.Time{}
	if len(t.receivers) > 0 {
		t.advance()
		return
	}
	if t.sender != nil {
		t.ts.refuse(t.sender, t.id, t.text, protocol.NoReceivers, "no receiver came back")
	}
	t.finishWith(&spentFile{print: t.print})
}

// moveOut lets go of a file that has gone on at another node. Its connections here look for it.
func (t *transfer) moveOut() {
	t.mu.Lock()
	if t.over {
		t.mu.Unlock()
		return
	}
	var places []*place
	for _, r := range t.receivers {
		if r.peer != nil && r.peer.through() == nil {
			places = append(places, placeOf(r))
		}
	}
	for _, v := range t.visitors {
		v.wire.link.Close() // and not over: they look for the new home too
	}
	t.visitors = nil
	t.release()
	if t.sender != nil {
		t.sender.refused.Store(&t.id)
		t.sender.dismiss()
	}
	t.empty()
	t.over, t.receivers = true, nil
	t.ts.remove(t, nil)
	t.mu.Unlock()
	if len(places) > 0 {
		t.ts.host(t.session, t.id, t.text).settle(places)
	}
}
