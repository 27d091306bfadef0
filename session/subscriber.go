package session

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/fastport/fastport/storage"
)

// subscriber is a durable subscriber as far as this node serves it. It stays while it has connections here, or
// settled ranges that the store does not have yet.
type subscriber struct {
	tenant    *tenant
	key       storage.Subscriber
	unflushed atomic.Int32 // subscriptions in the cursors' hands
	connected atomic.Int32 // len(conns), for who cannot take the lock

	// Guarded by tenant.mu.
	conns []*Conn
	subs  []*subscription // those with a feed here, or with one not long ago; mostly one, which a map would cost more than it is
}

// sub finds the subscription of a topic, or nil. tenant.mu is held.
func (s *subscriber) sub(topic string) *subscription {
	for _, sub := range s.subs {
		if sub.topic.Name == topic {
			return sub
		}
	}
	return nil
}

// forget drops subscriptions. tenant.mu is held.
func (s *subscriber) forget(which func(*subscription) bool) {
	s.subs = slices.DeleteFunc(s.subs, which)
}

// client reports whether it is a clientId's: one connection at a time, which can be taken over.
func (s *subscriber) client() bool { return s.key[0] == 'c' }

// name is the clientId or userId.
func (s *subscriber) name() string { return string(s.key[len("c:"):]) }

// alone reports whether no other connection than one can bring an ack. known is false where one may be on another node.
func (s *subscriber) alone() (alone, known bool) {
	n := s.tenant.node
	alone = s.connected.Load() <= 1
	return alone, !alone || n.peers.Load() == 0 && n.leased(n.clock())
}

// scattered reports whether acks may come to another node.
func (s *subscriber) scattered() bool { return !s.client() && s.tenant.node.peers.Load() > 0 }

// clientSubscriber and userSubscriber name durable subscribers; the two never meet.
func clientSubscriber(id string) storage.Subscriber { return storage.Subscriber("c:" + id) }
func userSubscriber(id string) storage.Subscriber   { return storage.Subscriber("u:" + id) }

// subscription is a durable subscription as this node knows it: the row's settled ranges, and what came to them here.
type subscription struct {
	subscriber *subscriber
	topic      storage.Topic

	// Guarded by tenant.mu.
	refs int   // feeds
	left int64 // when the last one went, by the node's clock

	mu      sync.Mutex     // guards the following
	settled storage.Ranges // the row's and what is to be merged into it
	acked   storage.Ranges // not in the row yet
	givenUp storage.Ranges // not in the row yet; counts only under attach
	attach  int64
	epoch   string // the history that all of these are of
	listed  bool   // in the cursors' hands
	read    int64  // when the row was last asked for, by the node's clock
}

// settle records seq as acked or given up; the cursors carry it to the row.
func (s *subscription) settle(seq uint64, gaveUp bool) { s.settleSpan(seq, seq, gaveUp) }

// settleSpan is settle for lo to hi; what was settled before stays as it was.
func (s *subscription) settleSpan(lo, hi uint64, gaveUp bool) {
	if lo > hi {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled.Covers(lo, hi) {
		return
	}
	s.settled.Add(lo, hi)
	if gaveUp {
		s.givenUp.Add(lo, hi)
	} else {
		s.acked.Add(lo, hi)
	}
	s.list()
}

// list puts the subscription into the cursors' hands. mu is held.
func (s *subscription) list() {
	if !s.listed {
		s.listed = true
		s.subscriber.unflushed.Add(1)
		s.subscriber.tenant.node.cursors.add(s)
	}
}

// look has the row read soon, also where there is nothing to settle.
func (s *subscription) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list()
}

// readSince reports whether the row was read since a time.
func (s *subscription) readSince(at int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read >= at
}

// has reports whether seq is settled.
func (s *subscription) has(seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settled.Contains(seq)
}

// skip is the highest seq from after on up to which all is settled.
func (s *subscription) skip(after uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settled.NextGap(after) - 1
}

// attached is the attach number that is current here.
func (s *subscription) attached() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attach
}

// merge takes in a row. One of another history than before takes the place of what was known.
func (s *subscription) merge(row storage.Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch == "" || s.epoch != row.Epoch && s.subscriber.tenant.node.agrees(row.Epoch) {
		s.settled, s.acked, s.givenUp, s.epoch = nil, nil, nil, row.Epoch
	}
	if s.epoch == row.Epoch {
		s.settled = s.settled.Union(row.Settled)
	}
	s.attach = row.Attach
}

// union takes in what a row has settled. False: the row is of another history than what is known here.
func (s *subscription) union(row storage.Subscription) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if row.Epoch != s.epoch {
		return false
	}
	s.settled = s.settled.Union(row.Settled)
	if row.Attach > s.attach && !s.subscriber.client() {
		// While this node was not counted among the living, another took the user's place. They are both theirs: but what
		// was given up here was given up without knowing.
		s.attach, s.givenUp = row.Attach, nil
	}
	return true
}

// quiet reports whether nothing is to come of the subscription any more: no feed, no flush, no ack before its note.
func (s *subscription) quiet(now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refs == 0 && !s.listed && now-s.left > flightFor
}
