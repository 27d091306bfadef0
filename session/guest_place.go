package session

import (
	"github.com/fastport/fastport/protocol"
)

// place is a connection of this node in a file whose home is elsewhere. Its guest's lock guards it.
type place struct {
	g      *guest
	number uint64
	peer   *filePeer

	// A receiver's.
	admitted     bool // a home has taken it in: it comes back by itself, its device need not know
	resumes      bool // it asks to be taken in at next
	begun, ended bool
	next         int64 // the chunk to be given next
	queued       int64 // given, and not taken by its socket yet
	acked        int64
	queue        []waitingFrame // for its socket, which had no room; maxQueued at most

	// A sender's.
	init    *protocol.ClientFrame // nil: a receiver
	told    bool                  // it was answered, and may have sent chunks
	credit  int
	waiting bool // it is not read
}

type waitingFrame struct {
	lane   Lane
	packet *Packet // a chunk's is held
}

func (f *waitingFrame) letGo() {
	if f.packet.chunk != nil {
		f.packet.chunk.letGo()
	}
}

// placeOf is a receiver of a file that moved out of this node.
func placeOf(r *fileReceiver) *place {
	pl := &place{peer: r.peer, admitted: true, begun: r.begun, ended: r.ended, next: r.next, acked: r.acked}
	if r.version < protocol.Version2 {
		pl.acked = r.next // what is in its socket was the old home's to count
	}
	return pl
}

// settle gives places of a file that moved out their guest.
func (g *guest) settle(places []*place) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, old := range places {
		pl := g.add(old.peer)
		number := pl.number
		*pl = *old
		pl.g, pl.number = g, number
	}
	if g.stay != nil {
		g.present()
	}
}

// present tells the home of the place.
func (pl *place) present() {
	w := pl.g.stay.wire
	subscriber := []byte(pl.peer.subscriber)
	if f := pl.init; f != nil {
		pl.credit = senderCredit
		flags := uint64(0)
		for flag, set := range map[uint64]bool{flagAgain: pl.told, flagName: f.FileName != nil, flagMeta: f.Meta != nil} {
			if set {
				flags |= flag
			}
		}
		w.link.Send(appendLink(nil, linkSender, []uint64{pl.number, flags, uint64(pl.peer.version), uint64(f.FileSize), uint64(f.TotalChunks)},
			subscriber, f.Topic, f.FileName, f.Meta), nil, nil)
		return
	}
	mode, flags := uint64(placeRejoin), uint64(0)
	if pl.resumes {
		mode = placeResume
	} else if !pl.admitted {
		mode = placeFresh
	}
	if pl.begun {
		flags |= flagBegun
	}
	if pl.ended {
		flags |= flagEnded
	}
	w.link.Send(appendLink(nil, linkPlace, []uint64{pl.number, mode, uint64(pl.peer.version), flags,
		uint64(pl.next), uint64(min(pl.queued, pl.next)), uint64(pl.acked)}, subscriber), nil, nil)
}

// part tells that the home is gone. A version 1 sender cannot go back for what was on its way.
func (pl *place) part() {
	if pl.init == nil {
		return
	}
	if pl.told && pl.peer.version < protocol.Version2 {
		sendFileError(pl.peer, pl.g.text, protocol.Unavailable, "a part of the file was lost between nodes")
		pl.g.drop(pl)
		return
	}
	if pl.waiting {
		pl.waiting = false
		pl.peer.socket.Resume()
	}
}

// text passes on what the connection says.
func (pl *place) text(f *protocol.ClientFrame) {
	here := pl.g.stay != nil
	switch f.Type {
	case protocol.TypeFileAck:
		if pl.acked = max(pl.acked, min(f.Next, pl.next)); here {
			pl.g.stay.wire.send(linkAck, pl.number, uint64(f.Next))
		}
	case protocol.TypeFileResume:
		pl.next, pl.acked, pl.ended = f.Next, f.Next, false
		if here && pl.admitted {
			pl.g.stay.wire.send(linkResume, pl.number, uint64(f.Next))
		} else {
			pl.resumes = true
			if here {
				pl.renumber()
			}
		}
	case protocol.TypeCancelFile:
		if here {
			pl.g.stay.wire.send(linkCancel, pl.number)
		} else {
			pl.peer.refused.Store(&pl.g.id)
			pl.g.drop(pl)
		}
	case protocol.TypeEndFile:
		if here && pl.init != nil {
			pl.g.stay.wire.link.Send(appendLink(nil, linkEnd, []uint64{pl.number}, f.Topic, f.Hash), nil, nil)
		}
	}
}

// renumber asks anew for a place that is asked for already, under another number: what comes for the old one is let be.
func (pl *place) renumber() {
	g := pl.g
	g.stay.wire.send(linkGone, pl.number)
	delete(g.places, pl.number)
	g.last++
	pl.number = g.last
	g.places[pl.number] = pl
	pl.present()
}

// chunk passes a sender's chunk on. wait: it has sent as much as it may.
func (pl *place) chunk(frame []byte) (wait bool) {
	if pl.init == nil || pl.g.stay == nil {
		return false // it will be told where to go on
	}
	c := pl.g.ts.chunks.take(frame)
	if !pl.g.stay.wire.link.Send(appendLink(nil, linkPart, []uint64{pl.number}), c.Payload(), c.letGo) {
		c.letGo()
	}
	pl.credit--
	pl.waiting = pl.credit <= 0
	return pl.waiting
}

// deliver queues a frame of the home's for the socket. False: the home sends more than it may.
func (pl *place) deliver(l Lane, p *Packet) bool {
	if len(pl.queue) >= maxQueued {
		return false
	}
	pl.queue = append(pl.queue, waitingFrame{l, p})
	pl.pump()
	return true
}

// give is deliver for a chunk.
func (pl *place) give(c *chunk) bool {
	c.hold()
	if !pl.deliver(LaneFile, &c.Packet) {
		c.letGo()
		return false
	}
	return true
}

// pump hands the socket what it has room for.
func (pl *place) pump() {
	for len(pl.queue) > 0 {
		f := pl.queue[0]
		switch {
		case f.packet.chunk != nil:
			if !pl.peer.socket.SendChunk(f.packet, func() { f.letGo(); pl.took() }) {
				return
			}
		case !pl.peer.socket.Send(f.lane, f.packet):
			return
		}
		pl.queue = pl.queue[1:]
	}
}

// took tells that the socket has taken a chunk.
func (pl *place) took() {
	g := pl.g
	g.mu.Lock()
	defer g.mu.Unlock()
	pl.queued--
	if pl.peer.version < protocol.Version2 {
		pl.acked = max(pl.acked, pl.next-pl.queued)
	}
	if g.stay != nil && g.places[pl.number] == pl {
		g.stay.wire.send(linkTook, pl.number)
	}
	pl.pump()
}
