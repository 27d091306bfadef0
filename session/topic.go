package session

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/storage"
)

// topic is a topic of a session as far as this node serves it: who gets what is published on it, and how far the
// node knows the store's numbering.
//
// Its durable feeds that are live have had, or need not have, every message up to contig; what came since is in
// flight. So one check for the topic finds the gap of each of them.
type topic struct {
	node    *Node
	tenant  *tenant
	name    string
	channel backplane.Channel
	used    atomic.Int64  // when it was last looked up, by the node's clock
	width   atomic.Int32  // feeds
	doubted atomic.Uint64 // what arrived up to this place and is undecided may be settled; written under mu

	routing sync.Mutex // orders Join, Fence and Leave: no Receiver's method takes it

	publishing sync.Mutex          // guards the following
	pending    map[string]*publish // not decided or not answered yet, through this node, by messageId
	drains     []*drain

	mu       sync.Mutex // guards the following
	route    route
	joiners  []func(error) // wait for the Join
	feeds    []*feed
	emptied  int64 // when the last feed left
	durable  int   // feeds with a subscription
	live     int   // durable feeds that are live
	laggards []*feed
	seen     seen
	run      *run // gathers while copies come together

	arrivals uint64
	flights  map[string]*message // arrived, undecided, by id
	order    flightOrder         // the same by arrival

	synced bool // contig has been kept since a read behind the fence
	contig uint64
	known  uint64              // the highest seq heard of
	ahead  map[uint64]*message // decided, beyond contig
	noted  map[uint64]uint64   // beyond contig, and known by their notes alone: how many copies had arrived then
	unseen map[string]struct{} // their ids

	holding   bool // live copies wait for a gap to close
	held      []*message
	heldBytes int
	repairing bool
	rewinding bool
	gapDue    int64  // when the open gap becomes a repair; 0: none is open
	gapTarget uint64 // what must be contiguous by then
	alarm     alarm
}

// route says whether this node is joined to the topic's channel.
type route uint8

const (
	apart route = iota
	joining
	joined
)

func newTopic(t *tenant, name string) *topic {
	tp := &topic{node: t.node, tenant: t, name: name, channel: t.channel(name)}
	tp.seen.key = t.node.seed
	tp.alarm.who = tp
	return tp
}

// committer appends what is published on the topic.
func (t *topic) committer() *committer {
	return t.node.committers[maphash.String(t.node.seed, t.name)%uint64(len(t.node.committers))]
}

// stored names the topic to the store.
func (t *topic) stored() storage.Topic { return storage.Topic{Session: t.tenant.id, Name: t.name} }

// add takes a feed in. head is the row's, for a durable one.
func (t *topic) add(f *feed, head uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.mode == gone {
		return // its connection closed meanwhile
	}
	f.mode = waiting
	f.index = int32(len(t.feeds))
	t.feeds = append(t.feeds, f)
	t.width.Add(1)
	if f.sub == nil {
		return
	}
	if t.durable++; t.durable == 1 {
		t.restart(head)
	}
	t.laggards = append(t.laggards, f)
}

// restart begins to count at head. mu is held.
func (t *topic) restart(head uint64) {
	t.synced, t.contig, t.known, t.ahead, t.noted, t.unseen = false, head, head, nil, nil, nil
	t.gapDue = 0
	t.doubted.Store(t.arrivals)
}

// remove takes a feed out. Nothing is sent to it afterwards.
func (t *topic) remove(f *feed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.mode == made || f.mode == gone {
		f.mode = gone
		return
	}
	if f.sub != nil {
		if f.mode == live {
			t.live--
		} else {
			t.catchUp(f)
		}
		if t.durable--; t.durable == 0 {
			t.restart(0)
			t.release()
		}
	}
	f.mode = gone
	last := len(t.feeds) - 1
	t.feeds[f.index] = t.feeds[last]
	t.feeds[f.index].index = f.index
	t.feeds[last] = nil
	if t.feeds = t.feeds[:last]; last == 0 {
		t.emptied, t.feeds = t.node.clock(), nil
	}
	t.width.Add(-1)
}

// catchUp takes a feed off the laggards. mu is held.
func (t *topic) catchUp(f *feed) {
	for i, l := range t.laggards {
		if l == f {
			last := len(t.laggards) - 1
			t.laggards[i], t.laggards[last] = t.laggards[last], nil
			t.laggards = t.laggards[:last]
			return
		}
	}
}

// receivers lists the connections that are subscribed here.
func (t *topic) receivers() []*Conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := make([]*Conn, len(t.feeds))
	for i, f := range t.feeds {
		list[i] = f.conn
	}
	return list
}

// linger is how long the interest in a channel outlives its last feed.
const linger = int64(1e9)

// idle reports whether nothing needs the topic.
func (t *topic) idle() bool {
	t.publishing.Lock()
	undecided := len(t.pending)
	t.publishing.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	return undecided == 0 && len(t.feeds) == 0
}

// deserted reports whether the last feed has been gone for a while, and no ack of it waits for its note any more.
func (t *topic) deserted(now int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.feeds) == 0 && t.emptied != 0 && now-t.emptied > linger && t.order.oldest(now) == 0 && !t.order.acked(now)
}

// leave gives up the channel, unless somebody came meanwhile.
func (t *topic) leave() {
	t.routing.Lock()
	defer t.routing.Unlock()
	t.mu.Lock()
	stay := len(t.feeds) > 0 || t.route != joined
	if !stay {
		t.emptied, t.route = 0, apart
		t.flights, t.order = nil, flightOrder{}
	}
	t.mu.Unlock()
	if !stay {
		t.node.bus.Leave(t.channel)
	}
}

// fence calls at in the channel's order, joining it first where that is needed.
func (t *topic) fence(at func(error)) {
	t.routing.Lock()
	defer t.routing.Unlock()
	t.mu.Lock()
	route := t.route
	if route != joined {
		t.route = joining
		t.joiners = append(t.joiners, at)
	}
	t.mu.Unlock()
	switch route {
	case joined:
		t.node.bus.Fence(t.channel, at)
	case apart:
		t.node.bus.Join(t.channel, t.arrived)
	}
}

// arrived is told how a Join went.
func (t *topic) arrived(err error) {
	t.mu.Lock()
	joiners := t.joiners
	t.joiners, t.route = nil, joined
	if err != nil {
		t.route = apart
	}
	t.mu.Unlock()
	for _, at := range joiners {
		if err != nil {
			at(err)
		} else {
			t.node.bus.Fence(t.channel, at)
		}
	}
}
