package session

import (
	"bytes"
	"context"
	"time"

	"github.com/fastport/fastport/protocol"
)

// stay is a guest's time with one home: what comes late from the one before is known by it.
type stay struct {
	g    *guest
	wire *wire
}

var _ wireEnd = (*stay)(nil)

// opened takes the first frame of a link that another node opened.
func (ts *openFiles) opened(w *wire, m *linkMsg) error {
	if m.kind != linkVisit && m.kind != linkInvite {
		return errLinkFrame
	}
	id, ok := parseFileID(m.t[1])
	session, text := string(m.t[0]), bytes.Clone(m.t[1])
	if !ok || session == "" || len(session) > protocol.MaxNameBytes {
		return errLinkFrame
	}
	if m.kind == linkInvite {
		s := &stay{wire: w}
		w.end = s
		ts.locked(session, id, text, func(g *guest) {
			if g.stay != nil { // that home lost the file to this one
				g.stay.wire.link.Close()
				g.part()
			}
			s.g, g.stay, g.home = g, s, string(m.t[3])
			g.present()
			g.count(string(m.t[2]))
		})
		return nil
	}
	if string(m.t[2]) != ts.fleet.name {
		w.send(linkStranger)
		w.link.Close()
		return nil
	}
	w.end = &visitor{ts: ts, session: session, id: id, text: text, guest: string(m.t[3]), wire: w, peers: make(map[uint64]*filePeer)}
	return nil
}

// count names who has the topic here now. It runs under the guest's lock, so that whoever closes meanwhile is told of
// afterwards.
func (g *guest) count(topic string) {
	for _, p := range g.ts.receivers(g.session, topic) {
		if g.peers[p] == nil && len(g.places) < maxPlaces {
			g.add(p).present()
		}
	}
	g.stay.wire.send(linkCounted)
}

// frame takes a frame of the home's.
func (s *stay) frame(m *linkMsg) error {
	g := s.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stay != s {
		return nil
	}
	switch m.kind {
	case linkInvite:
		g.count(string(m.t[2]))
		return nil
	case linkChunk:
		return g.chunk(m.body)
	case linkOver:
		g.finish()
		return nil
	case linkStranger:
		g.ts.fleet.buried(g.home)
		s.wire.link.Close()
		g.part()
		return nil
	}
	pl := g.places[m.place()]
	if pl == nil {
		return nil // it has left, and the home did not know yet
	}
	return pl.frame(m)
}

// frame does what the home says to a connection.
func (pl *place) frame(m *linkMsg) error {
	g, done := pl.g, true
	switch m.kind {
	case linkAdmit:
		pl.admitted, pl.resumes, g.alone = true, false, time.Time{}
	case linkFrame:
		if m.n[1] >= Lanes {
			return errLinkFrame
		}
		pl.told = true
		done = pl.deliver(Lane(m.n[1]), textPacket(m.body))
	case linkBegin:
		pl.begun = true
		if g.init == nil || !bytes.Equal(g.init.Payload(), m.body) {
			g.init = textPacket(m.body) // one for all who get it
		}
		done = pl.deliver(LaneFile, g.init)
	case linkFinish:
		pl.ended = true
		done = pl.deliver(LaneFile, textPacket(m.body))
	case linkGive:
		c := g.chunks.chunks[int64(m.n[1])]
		if c == nil {
			return errLinkFrame
		}
		pl.ended = false
		pl.next = int64(m.n[1]) + 1
		pl.queued++
		done = pl.give(c)
	case linkCredit:
		pl.credit = min(pl.credit+int(min(m.n[1], senderCredit)), senderCredit)
		if pl.waiting && pl.credit > 0 {
			pl.waiting = false
			pl.peer.socket.Resume()
		}
	case linkDismiss:
		g.dismiss(pl)
		g.tidy()
	}
	if !done {
		return errLinkFrame
	}
	return nil
}

// dismiss ends a place for its home's sake: what its device still sends is dropped without a word.
func (g *guest) dismiss(pl *place) {
	if pl.init != nil {
		pl.peer.refused.Store(&g.id)
	}
	g.drop(pl)
}

// chunk takes a chunk into the buffer.
func (g *guest) chunk(frame []byte) error {
	c, err := protocol.ParseChunk(frame)
	if err != nil || len(c.Payload) > maxChunk {
		return errLinkFrame
	}
	if id, _ := parseFileID(c.FileID); id != g.id {
		return errLinkFrame
	}
	if kept := g.ts.chunks.take(frame); !g.chunks.add(int64(c.Index), kept) {
		kept.letGo()
	}
	return nil
}

// finish takes in that the file is over. What waits for a socket still goes out.
func (g *guest) finish() {
	g.over = time.Now()
	g.stay.wire.link.Close()
	g.stay = nil
	if s := g.sender(); s != nil {
		g.dismiss(s)
	}
	if g.idle() {
		g.remove()
	}
}

// lost keeps the places for the next home.
func (s *stay) lost(nobody bool, _ time.Time) {
	g := s.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stay != s {
		return
	}
	if nobody {
		g.ts.fleet.buried(g.home)
	}
	g.part()
	g.tidy()
	if !g.removed {
		g.ts.fleet.spawn(g.seek)
	}
}

// lend lends a sender's socket to the home of its file.
func (ts *openFiles) lend(p *filePeer, id fileID, f *protocol.ClientFrame, home, address string, again bool) {
	ts.locked(p.session, id, f.FileID, func(g *guest) {
		pl := g.peers[p]
		if pl != nil && pl.init == nil {
			ts.refuse(p, id, f.FileID, protocol.Conflict, "this fileId is another file's: take a new UUID")
			return
		}
		if old := g.sender(); old != nil && old != pl { // half-open, and not noticed yet
			if g.stay != nil {
				g.stay.wire.send(linkGone, old.number)
			}
			g.dismiss(old)
		}
		asked := pl != nil
		if !asked {
			pl = g.add(p)
		}
		pl.init, pl.told = f, again
		if g.stay != nil && g.home != home {
			g.stay.wire.link.Close()
			g.part()
		}
		switch {
		case g.stay == nil:
			g.visit(home, address)
		case asked:
			pl.renumber()
		default:
			pl.present()
		}
	})
}

// disown forgets that p sends a file whose home is elsewhere: it is here now, or p knows that it is not to be.
func (ts *openFiles) disown(p *filePeer, id fileID) {
	if g := ts.guest(p.session, id); g != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		if pl := g.peers[p]; pl != nil && pl.init != nil {
			g.drop(pl)
			g.tidy()
		}
	}
}

// returning gives a receiver that comes back a place, and looks for the home of its file.
func (ts *openFiles) returning(p *filePeer, id fileID, f *protocol.ClientFrame) {
	ts.locked(p.session, id, f.FileID, func(g *guest) {
		pl := g.add(p)
		pl.text(f)
		if g.stay != nil {
			return
		}
		ts.fleet.spawn(func(ctx context.Context) { g.seek(ctx) })
	})
}

// closed takes in that a connection is gone.
func (g *guest) closed(p *filePeer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	pl := g.peers[p]
	if pl == nil {
		return
	}
	if g.stay != nil {
		g.stay.wire.send(linkGone, pl.number)
	}
	g.drop(pl)
	g.tidy()
}

func textPacket(text []byte) *Packet {
	return NewPacket(false, len(text), func(dst []byte) []byte { return append(dst, text...) })
}
