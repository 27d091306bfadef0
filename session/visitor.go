package session

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// visitor is a guest node in a file, at the home's end of their link: it turns what arrives into what connections of
// this node would have said.
type visitor struct {
	ts      *openFiles
	session string
	id      fileID
	text    []byte // the fileId as it was sent
	guest   string // the node

	mu      sync.Mutex // guards the following, and what lents hold; taken after a transfer's
	wire    *wire
	welcome bool          // it was asked who has the topic: whoever it names has a place
	counted chan struct{} // closed once all are named, or the link is lost; nil: nobody waits for it
	fresh   []*filePeer   // named meanwhile
	peers   map[uint64]*filePeer
	has     buffered
	gone    bool
}

var _ wireEnd = (*visitor)(nil)

// placeName tells a place from all others in the cluster, also after its guest lost the home.
type placeName struct {
	guest  string
	number uint64
}

// invite asks a guest for its receivers of t's topic, on the link that it has, or a new one to its address.
func (ts *openFiles) invite(t *transfer, guest, address string) (v *visitor, counted <-chan struct{}) {
	v = t.visitorOf(guest)
	if v == nil {
		v = &visitor{ts: ts, session: t.session, id: t.id, text: t.text, guest: guest, peers: make(map[uint64]*filePeer)}
	}
	v.mu.Lock()
	done := make(chan struct{})
	v.welcome, v.counted = true, done
	if v.wire == nil {
		v.wire = ts.fleet.dial(address, v)
	}
	v.wire.link.Send(appendLink(nil, linkInvite, nil, []byte(t.session), t.text, []byte(t.topic), []byte(ts.fleet.name)), nil, nil)
	if v.gone {
		v.endCount()
	}
	v.mu.Unlock()
	t.visited(v)
	return v, done
}

// named ends the wait for a guest's receivers and returns them. Whom it names later joins late.
func (v *visitor) named() []*filePeer {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.endCount()
	fresh := v.fresh
	v.fresh = nil
	return fresh
}

// endCount tells whoever waits that all receivers are named. It runs under the lock.
func (v *visitor) endCount() {
	if v.counted != nil {
		close(v.counted)
		v.counted = nil
	}
}

// frame takes a frame of the guest's.
func (v *visitor) frame(m *linkMsg) error {
	switch m.kind {
	case linkPlace:
		return v.place(m)
	case linkSender:
		return v.sender(m)
	case linkCounted:
		v.mu.Lock()
		v.endCount()
		v.mu.Unlock()
		return nil
	}
	v.mu.Lock()
	p := v.peers[m.place()]
	v.mu.Unlock()
	if p == nil {
		return nil // it has left, and the guest did not know yet; or the frame is about none
	}
	return v.said(p, m)
}

// said does what a connection that has its place says.
func (v *visitor) said(p *filePeer, m *linkMsg) error {
	t := v.ts.find(v.session, v.id)
	switch m.kind {
	case linkTook:
		p.socket.(*lent).took()
	case linkGone:
		v.parted(p, m.place())
		if t != nil {
			t.closed(p)
		}
	case linkAck, linkResume, linkCancel:
		f := &protocol.ClientFrame{FileID: v.text, Next: int64(m.n[1])}
		switch m.kind {
		case linkAck:
			f.Type = protocol.TypeFileAck
		case linkResume:
			f.Type = protocol.TypeFileResume
		case linkCancel:
			f.Type = protocol.TypeCancelFile
			if t != nil && t.sends(p) { // behind its chunks
				return v.queue(p, func() bool { v.ts.home(p, v.id, f); return false })
			}
		}
		v.ts.home(p, v.id, f)
	case linkPart:
		c, err := protocol.ParseChunk(m.body)
		if err != nil {
			return errLinkFrame
		}
		if id, _ := parseFileID(c.FileID); id != v.id {
			return errLinkFrame
		}
		part := bytes.Clone(m.body)
		return v.queue(p, func() bool {
			wait, _ := v.ts.chunk(p, part)
			if !wait {
				p.socket.(*lent).credit()
			}
			return wait
		})
	case linkEnd:
		f := &protocol.ClientFrame{Type: protocol.TypeEndFile, FileID: v.text, Topic: bytes.Clone(m.t[0])}
		if len(m.t[1]) > 0 {
			f.Hash = bytes.Clone(m.t[1])
		}
		return v.queue(p, func() bool { v.ts.home(p, v.id, f); return false })
	}
	return nil
}

func (v *visitor) queue(p *filePeer, op func() bool) error {
	if !p.socket.(*lent).do(op) {
		return errLinkFrame
	}
	return nil
}

// place takes in a receiver.
func (v *visitor) place(m *linkMsg) error {
	number, mode, next, queued, acked := m.place(), m.n[1], int64(m.n[4]), int64(m.n[5]), int64(m.n[6])
	if mode >= placeModes || queued > maxQueued || queued > next || acked > next {
		return errLinkFrame
	}
	p, err := v.peer(number, m.n[2], m.t[0])
	if err != nil {
		return err
	}
	v.mu.Lock()
	welcome, waited := v.welcome, v.counted != nil
	if mode == placeFresh && waited {
		v.fresh = append(v.fresh, p)
	}
	v.mu.Unlock()
	t := v.ts.find(v.session, v.id)
	state := placeState{name: placeName{v.guest, number}, begun: m.n[3]&flagBegun != 0, ended: m.n[3]&flagEnded != 0,
		next: next, queued: queued, acked: acked}
	switch {
	case mode == placeFresh && waited:
		v.admit(number)
		return nil
	case mode == placeFresh:
		if t != nil {
			t.join(p)
		}
	case mode == placeRejoin && t != nil && t.rejoin(p, state, welcome):
	default: // a place whose file is over, or another's now, is told so as one that comes back
		v.ts.home(p, v.id, &protocol.ClientFrame{Type: protocol.TypeFileResume, FileID: v.text, Next: next})
	}
	if t == nil || !t.has(p) {
		p.dismiss()
		return nil
	}
	t.visited(v)
	v.admit(number)
	return nil
}

// sender takes in a sender: its file is under way here, or was, or begins.
func (v *visitor) sender(m *linkMsg) error {
	number, again := m.place(), m.n[1]&flagAgain != 0
	p, err := v.peer(number, m.n[2], m.t[0])
	if err != nil {
		return err
	}
	f := &protocol.ClientFrame{Type: protocol.TypeInitFile, FileID: v.text, Topic: bytes.Clone(m.t[1]),
		FileSize: int64(m.n[3]), TotalChunks: int64(m.n[4])}
	if m.n[1]&flagName != 0 {
		f.FileName = bytes.Clone(m.t[2])
	}
	if m.n[1]&flagMeta != 0 {
		f.Meta = bytes.Clone(m.t[3])
	}
	if f.Validate() != nil {
		return errLinkFrame
	}
	v.ts.fleet.spawn(func(ctx context.Context) {
		v.ts.open(ctx, p, v.id, f, again)
		t := v.ts.find(v.session, v.id)
		if t == nil || !t.sends(p) {
			p.dismiss()
			return
		}
		if p.isGone() {
			t.closed(p)
			return
		}
		t.visited(v)
		v.admit(number)
	})
	return nil
}

// peer makes the connection that a frame names.
func (v *visitor) peer(number, version uint64, subscriber []byte) (*filePeer, error) {
	if version < protocol.Version1 || version > protocol.Version2 {
		return nil, errLinkFrame
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.peers[number] != nil || len(v.peers) >= maxPlaces {
		return nil, errLinkFrame
	}
	p := &filePeer{session: v.session, subscriber: storage.Subscriber(subscriber), version: int(version),
		socket: &lent{v: v, number: number}}
	v.peers[number] = p
	return p, nil
}

// parted takes in that a connection is gone, before the file learns of it: it may be about to become a receiver.
func (v *visitor) parted(p *filePeer, number uint64) {
	v.forget(number)
	p.socket.(*lent).gone.Store(true)
}

func (v *visitor) admit(number uint64) { v.wire.send(linkAdmit, number) }

func (v *visitor) forget(number uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.peers, number)
}

// over tells the guest that the file is over.
func (v *visitor) over() {
	v.wire.send(linkOver)
	v.wire.link.Close()
}

// lost parts the guest's connections from the file: they may come back, by their guest or by themselves.
func (v *visitor) lost(_ bool, heard time.Time) {
	v.mu.Lock()
	v.gone = true
	v.endCount()
	for _, p := range v.peers {
		p.socket.(*lent).gone.Store(true)
	}
	v.peers, v.has = nil, buffered{} // of indexes only
	v.mu.Unlock()
	if t := v.ts.find(v.session, v.id); t != nil {
		t.guestLost(v, heard)
	}
}
