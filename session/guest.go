package session

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fastport/fastport/protocol"
)

// guest is this node's part in a file whose home is elsewhere: it lends the home the sockets of its own connections,
// and passes on what they say. It decides nothing. Without its home it keeps the places and looks for the next one.
type guest struct {
	ts      *openFiles
	session string
	id      fileID
	text    []byte // the fileId as it was sent

	mu      sync.Mutex // guards the following; taken before openFiles.mu
	stay    *stay      // nil: it has no home
	home    string     // the node, also the last one's
	alone   time.Time  // since when it has none
	seeking bool
	over    time.Time // when the file was; zero: it is not. What is queued still goes out.
	removed bool
	places  map[uint64]*place
	peers   map[*filePeer]*place
	last    uint64 // number of a place
	chunks  buffered
	init    *Packet // the last that was begun with
}

// host finds or makes this node's part in a file.
func (ts *openFiles) host(session string, id fileID, text []byte) *guest {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if g := ts.guests[session][id]; g != nil {
		return g
	}
	g := &guest{ts: ts, session: session, id: id, text: slices.Clone(text), alone: time.Now(),
		places: make(map[uint64]*place), peers: make(map[*filePeer]*place)}
	if ts.guests[session] == nil {
		ts.guests[session] = make(map[fileID]*guest)
	}
	ts.guests[session][id] = g
	return g
}

func (ts *openFiles) guest(session string, id fileID) *guest {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return ts.guests[session][id]
}

// locked runs do on the part that this node has in a file, which it makes if need be.
func (ts *openFiles) locked(session string, id fileID, text []byte, do func(g *guest)) {
	for {
		g := ts.host(session, id, text)
		g.mu.Lock()
		if !g.removed && g.over.IsZero() {
			do(g)
			g.tidy()
			g.mu.Unlock()
			return
		}
		g.remove()
		g.mu.Unlock()
	}
}

// said takes a frame of a connection. False: it has no place here.
func (g *guest) said(p *filePeer, f *protocol.ClientFrame) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	pl := g.peers[p]
	if pl == nil {
		return false
	}
	pl.text(f)
	g.tidy()
	return true
}

// chunkOf takes a sender's chunk.
func (g *guest) chunkOf(p *filePeer, frame []byte) (wait, taken bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	pl := g.peers[p]
	if pl == nil || pl.init == nil {
		return false, false
	}
	return pl.chunk(frame), true
}

// abandon ends the part without a word: the session is gone.
func (g *guest) abandon() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove()
}

// seek looks for the home, by the file's lease, and visits it. A sender without a home makes this node the home.
func (g *guest) seek(ctx context.Context) {
	g.mu.Lock()
	if g.stay != nil || g.seeking || g.removed || !g.over.IsZero() {
		g.mu.Unlock()
		return
	}
	g.seeking = true
	sender := g.sender()
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		g.seeking = false
		g.mu.Unlock()
	}()
	if sender != nil {
		g.ts.open(ctx, sender.peer, g.id, sender.init, sender.told)
	}
	held, err := g.ts.fleet.holder(ctx, g.session, g.id)
	if err != nil {
		return
	}
	if held == "" {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.dismissAll(func(pl *place) bool { return pl.resumes }, protocol.NotFound, "the file is no longer under way: ask its sender for it again")
		g.tidy()
		return
	}
	home, _, ok := parseLease(held)
	address, err := g.ts.fleet.address(ctx, home)
	if home == g.ts.fleet.name {
		address, err = g.ts.fleet.self, nil
	}
	if ok && err == nil && address != "" {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.visit(home, address)
	}
}

// The rest runs under the lock.

// visit takes the places to a home.
func (g *guest) visit(home, address string) {
	if g.stay != nil || g.removed || len(g.places) == 0 {
		return
	}
	s := &stay{g: g}
	g.stay, g.home = s, home
	s.wire = g.ts.fleet.dial(address, s)
	s.wire.link.Send(appendLink(nil, linkVisit, nil, []byte(g.session), g.text, []byte(home), []byte(g.ts.fleet.name)), nil, nil)
	g.present()
}

// present tells a new home of each place.
func (g *guest) present() {
	g.chunks.empty()
	for _, pl := range g.places {
		pl.present()
	}
}

// part ends the stay with a home.
func (g *guest) part() {
	if g.stay == nil {
		return
	}
	g.stay = nil
	if g.alone.IsZero() {
		g.alone = time.Now()
	}
	for _, pl := range g.places {
		pl.part()
	}
}

// sender is the place that sends, or nil.
func (g *guest) sender() *place {
	for _, pl := range g.places {
		if pl.init != nil {
			return pl
		}
	}
	return nil
}

// add makes a place for p.
func (g *guest) add(p *filePeer) *place {
	g.last++
	pl := &place{g: g, number: g.last, peer: p}
	g.places[pl.number], g.peers[p] = pl, pl
	return pl
}

// drop ends a place.
func (g *guest) drop(pl *place) {
	delete(g.places, pl.number)
	for _, f := range pl.queue {
		f.letGo()
	}
	pl.queue = nil
	if g.peers[pl.peer] == pl {
		delete(g.peers, pl.peer)
	}
	if pl.waiting {
		pl.waiting = false
		pl.peer.socket.Resume()
	}
}

// dismissAll ends places without a home.
func (g *guest) dismissAll(which func(*place) bool, code protocol.Code, why string) {
	for _, pl := range g.places {
		if which(pl) {
			sendFileError(pl.peer, g.text, code, why)
			g.drop(pl)
		}
	}
}

// tidy ends a part that nobody has a share in.
func (g *guest) tidy() {
	if len(g.places) == 0 {
		g.remove()
	}
}

func (g *guest) remove() {
	if g.removed {
		return
	}
	g.removed = true
	if g.stay != nil {
		g.stay.wire.link.Close()
		g.stay = nil
	}
	g.chunks.empty()
	for _, pl := range g.places {
		g.drop(pl)
	}
	g.ts.mu.Lock()
	defer g.ts.mu.Unlock()
	if g.ts.guests[g.session][g.id] == g {
		delete(g.ts.guests[g.session], g.id)
		if len(g.ts.guests[g.session]) == 0 {
			delete(g.ts.guests, g.session)
		}
	}
}

// sweep keeps the timeouts, tries again what sockets refused, and looks for a home where there is none.
func (g *guest) sweep(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, pl := range g.places {
		pl.pump()
	}
	switch {
	case g.removed:
	case !g.over.IsZero():
		if now.Sub(g.over) > protocol.ReceiverStall || g.idle() {
			g.remove()
		}
	case g.stay != nil:
	case now.Sub(g.alone) > protocol.SenderAway:
		g.dismissAll(func(*place) bool { return true }, protocol.Unavailable, "the sender did not come back")
		g.tidy()
	case !g.seeking:
		g.ts.fleet.spawn(g.seek)
	}
}

// idle reports whether nothing waits for a socket.
func (g *guest) idle() bool {
	for _, pl := range g.places {
		if len(pl.queue) > 0 {
			return false
		}
	}
	return true
}
