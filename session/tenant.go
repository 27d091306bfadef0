package session

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// tenant is a session as far as this node serves it: nothing in it is shared with another session.
type tenant struct {
	node *Node
	id   string
	name string
	used atomic.Int64 // when it was last asked for, by the node's clock

	messages, bytes *rate.Limiter // nil: no limit

	// What the row says, as last seen.
	version    atomic.Int64
	retryAfter atomic.Int64 // ns
	retryLimit atomic.Int64
	lifetime   atomic.Int64 // of a message, ns
	suite      atomic.Int64
	wakes      atomic.Bool  // it has a Firebase project: who is offline may have to be woken
	expiresAt  atomic.Int64 // UnixNano; 0: never

	mu          sync.RWMutex // guards the following
	gone        bool         // dropped, suspended or forgotten
	conns       []*Conn
	topics      map[string]*topic
	subscribers map[storage.Subscriber]*subscriber
	present     map[storage.Subscriber]int // connections here by clientId and by userId
}

func newTenant(n *Node, s storage.Session) *tenant {
	t := &tenant{node: n, id: s.ID, name: s.Name, topics: map[string]*topic{},
		subscribers: map[storage.Subscriber]*subscriber{}, present: map[storage.Subscriber]int{}}
	if r := n.cfg.SessionMessageRate; r > 0 {
		t.messages = rate.NewLimiter(rate.Limit(r), r)
	}
	if r := n.cfg.SessionByteRate; r > 0 {
		t.bytes = rate.NewLimiter(rate.Limit(r), max(r, n.cfg.MaxPayload))
	}
	t.learn(s)
	return t
}

// learn takes in a row that is no older than the one before.
func (t *tenant) learn(s storage.Session) {
	if s.Version < t.version.Load() {
		return
	}
	lifetime := t.node.cfg.MaxRetention
	if s.MessageExpiry > 0 {
		lifetime = min(lifetime, s.MessageExpiry)
	}
	t.version.Store(s.Version)
	t.retryAfter.Store(int64(s.RetryInterval))
	t.retryLimit.Store(int64(s.MaxRetryLimit))
	t.lifetime.Store(int64(lifetime))
	t.suite.Store(int64(s.Suite))
	t.wakes.Store(len(s.FCMConfig) > 0)
	if !s.ExpiresAt.IsZero() {
		t.expiresAt.Store(s.ExpiresAt.UnixNano())
	}
}

// expiry is how long a message of the session lives.
func (t *tenant) expiry() time.Duration { return time.Duration(t.lifetime.Load()) }

// allow takes a publish of size bytes off the session's budget.
func (t *tenant) allow(size int) bool {
	now := time.Now()
	return (t.messages == nil || t.messages.AllowN(now, 1)) && (t.bytes == nil || t.bytes.AllowN(now, size))
}

// topic finds or makes a topic. nil: the session is gone.
func (t *tenant) topic(name []byte) *topic {
	now := t.node.clock()
	t.mu.RLock()
	tp, gone := t.topics[string(name)], t.gone
	if tp != nil {
		tp.used.Store(now) // under the lock: whoever forgets idle topics holds it alone
	}
	t.mu.RUnlock()
	if tp != nil || gone {
		return tp
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return nil
	}
	if tp = t.topics[string(name)]; tp == nil {
		tp = newTopic(t, string(name))
		t.topics[tp.name] = tp
	}
	tp.used.Store(now)
	return tp
}

// find is topic without making one.
func (t *tenant) find(name string) *topic {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.topics[name]
}

// all lists the topics.
func (t *tenant) all() []*topic {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := make([]*topic, 0, len(t.topics))
	for _, tp := range t.topics {
		list = append(list, tp)
	}
	return list
}

// enter adds a connection that has logged in. False: the session is gone.
func (t *tenant) enter(c *Conn) bool {
	t.mu.Lock()
	if t.gone {
		t.mu.Unlock()
		return false
	}
	c.index = len(t.conns)
	t.conns = append(t.conns, c)
	if c.subscriber != nil {
		c.subscriber.conns = append(c.subscriber.conns, c)
		c.subscriber.connected.Add(1)
	}
	changed := t.count(c, 1)
	t.mu.Unlock()
	t.node.presence.changed(t, changed)
	return true
}

// become makes a connection that was nobody a durable subscriber's. False: it has left already.
func (t *tenant) become(c *Conn, s *subscriber, user string) bool {
	t.mu.Lock()
	if c.index < 0 || t.gone {
		t.mu.Unlock()
		return false
	}
	c.mu.Lock()
	c.subscriber, c.user = s, user
	c.mu.Unlock()
	s.conns = append(s.conns, c)
	s.connected.Add(1)
	changed := t.count(c, 1) // it was not counted: it had no identity
	t.mu.Unlock()
	t.node.presence.changed(t, changed)
	return true
}

// leave takes a connection out again.
func (t *tenant) leave(c *Conn) {
	t.mu.Lock()
	if c.index < 0 {
		t.mu.Unlock()
		return
	}
	last := t.conns[len(t.conns)-1]
	t.conns[c.index], last.index = last, c.index
	t.conns[len(t.conns)-1] = nil
	t.conns = t.conns[:len(t.conns)-1]
	c.index = -1
	if s := c.subscriber; s != nil {
		if i := slices.Index(s.conns, c); i >= 0 {
			s.conns = slices.Delete(s.conns, i, i+1)
			s.connected.Add(-1)
		}
	}
	changed := t.count(c, -1)
	t.mu.Unlock()
	t.node.presence.changed(t, changed)
}

// count keeps presence; it returns the keys whose number changed. mu is held.
func (t *tenant) count(c *Conn, by int) (changed []storage.Subscriber) {
	for _, key := range c.identities() {
		if t.present[key] += by; t.present[key] <= 0 {
			delete(t.present, key)
		}
		changed = append(changed, key)
	}
	return changed
}

// subscriber finds or makes a durable subscriber.
func (t *tenant) subscriber(key storage.Subscriber) *subscriber {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.subscribers[key]
	if s == nil {
		s = &subscriber{tenant: t, key: key}
		t.subscribers[key] = s
	}
	return s
}

// known finds a durable subscriber, or nil.
func (t *tenant) known(key storage.Subscriber) *subscriber {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.subscribers[key]
}

// connsOf lists a subscriber's connections here.
func (t *tenant) connsOf(s *subscriber) []*Conn {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Clone(s.conns)
}

// acquire finds or makes this node's view of a subscription, for one feed more.
func (t *tenant) acquire(s *subscriber, row storage.Subscription) *subscription {
	t.mu.Lock()
	sub := s.sub(row.Topic.Name)
	if sub == nil {
		sub = &subscription{subscriber: s, topic: row.Topic}
		if tp := t.topics[row.Topic.Name]; tp != nil {
			sub.topic = tp.stored() // one text for all its subscriptions
		}
		s.subs = append(s.subs, sub)
	}
	sub.refs++
	t.mu.Unlock()
	sub.merge(row)
	if t.node.peers.Load() > 0 {
		sub.look() // the client may be logging in through another node at this very moment
	}
	return sub
}

// release ends an acquire.
func (t *tenant) release(sub *subscription) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if sub.refs--; sub.refs == 0 {
		sub.left = t.node.clock()
	}
}

// reattach brings what this node still knows of a subscriber's subscriptions under their new attach numbers.
func (t *tenant) reattach(s *subscriber, rows []storage.Subscription) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, row := range rows {
		if sub := s.sub(row.Topic.Name); sub != nil {
			sub.merge(row)
		}
	}
}

// lost ends the feeds of a subscription whose row is gone: unsubscribed through another node, or expired. It may have
// been made again since.
func (t *tenant) lost(ctx context.Context, sub *subscription) {
	done, err := t.node.turns.take(ctx, turn{t.id, sub.subscriber.key})
	if err != nil {
		return
	}
	defer done()
	call, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	rows, err := t.node.store.Attach(call, t.id, sub.subscriber.key, false)
	if err != nil || slices.ContainsFunc(rows, func(r storage.Subscription) bool { return r.Topic == sub.topic }) {
		return
	}
	t.drop(sub.subscriber, sub.topic.Name)
}

// drop ends a subscriber's feeds of a topic, and forgets the subscription. Its turn is held.
func (t *tenant) drop(s *subscriber, topic string) {
	for _, c := range t.connsOf(s) {
		if f := c.feed(topic); f != nil {
			c.unfollow(f)
		}
	}
	t.mu.Lock()
	s.forget(func(sub *subscription) bool { return sub.topic.Name == topic })
	t.mu.Unlock()
}

// connected lists the durable subscribers that have connections here.
func (t *tenant) connected() []*subscriber {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var list []*subscriber
	for _, s := range t.subscribers {
		if len(s.conns) > 0 {
			list = append(list, s)
		}
	}
	return list
}

// look has all rows of a subscriber read soon.
func (t *tenant) look(s *subscriber) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, sub := range s.subs {
		sub.look()
	}
}

// takenOver closes a client's connection here: another node serves it.
func (t *tenant) takenOver(s *subscriber) {
	for _, c := range t.connsOf(s) {
		c.stop(protocol.CloseTakenOver, "taken over by a newer connection")
		c.detach()
	}
}

// close ends the session on this node.
func (t *tenant) close(code protocol.CloseCode, reason string) {
	t.mu.Lock()
	t.gone = true
	conns := slices.Clone(t.conns)
	t.mu.Unlock()
	for _, c := range conns {
		c.stop(code, reason)
		c.detach()
	}
}

// idleAfter is how long a topic or a tenant that nobody uses is kept.
const idleAfter = int64(time.Minute)

// reap forgets what is idle; it reports whether the tenant itself is.
func (t *tenant) reap(now int64) (idle bool) {
	var deserted []*topic
	t.mu.Lock()
	for name, tp := range t.topics {
		switch {
		case tp.idle() && now-tp.used.Load() > idleAfter:
			delete(t.topics, name)
			deserted = append(deserted, tp)
		case tp.deserted(now):
			deserted = append(deserted, tp)
		}
	}
	for key, s := range t.subscribers {
		s.forget(func(sub *subscription) bool { return sub.quiet(now) })
		if len(s.conns)+len(s.subs) == 0 && s.unflushed.Load() == 0 && !t.node.turns.held(turn{t.id, key}) {
			delete(t.subscribers, key)
		}
	}
	idle = len(t.conns)+len(t.topics)+len(t.subscribers) == 0 && now-t.used.Load() > idleAfter
	t.mu.Unlock()
	for _, tp := range deserted {
		tp.leave()
	}
	return idle
}

func (t *tenant) channel(topic string) backplane.Channel {
	return backplane.Channel{Session: t.id, Topic: topic}
}
