package session_test

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fastport/fastport/protocol"
)

// checker is the delivery contract (docs/protocol.md, "Delivery") as a plain model: it hears of every frame that goes in
// or comes out, in one order of ticks, and says which promise was broken. It shares no code with what it checks.
type checker struct {
	mu       sync.Mutex // guards all
	broken   []string
	expiry   time.Duration // of every message; 0: none within the run
	messages map[string]*message
	subs     map[string]map[string]*subscription // topic key, then subscriber
	links    map[int]*link                       // by connection
	leaving  map[string]map[int]time.Time        // unsubscribes without an answer: topic key and subscriber, then connection

	published, deliveries, replays, retries, crashes int
}

// message is a (session, topic, messageId).
type message struct {
	id       string
	data     string
	hand     int64        // tick of its first publish
	conns    map[int]bool // connections that published it
	sender   int          // connection of the first publish
	number   int          // among that connection's publishes on the topic
	origins  map[string]bool
	reached  map[string]bool // subscribers that had it, also before their subscription was confirmed
	sends    int             // publishes of it: a repeat of what was never stored is announced again
	ack      int64           // tick of its first ack_received; 0: none
	ackTime  time.Time
	seq      uint64
	handTime time.Time
}

// subscription is what one subscriber is owed on one topic.
type subscription struct {
	since   int64 // tick of the subscribe_response
	durable bool
	got     map[string]bool      // delivered at least once, by message id
	owed    map[string]*message  // acked to the publisher, not delivered yet
	settled map[string]time.Time // acked by the subscriber
	away    map[string]bool      // sent to a connection that takes nothing any more, while another of the user may be live
	live    map[string]bool      // got as a first live delivery, in this life of the node
}

// link is what a connection saw.
type link struct {
	topics  map[string]*linkTopic
	pending map[string]bool // publishes without an answer
	asked   map[string]bool // topics subscribed by this connection
	numbers map[string]int
}

type linkTopic struct {
	order  []*message // first live deliveries
	last   map[int]int
	replay uint64
	tries  map[string]try
}

type try struct {
	n  int
	at time.Time
}

func newChecker() *checker {
	return &checker{messages: map[string]*message{}, subs: map[string]map[string]*subscription{}, links: map[int]*link{},
		leaving: map[string]map[int]time.Time{}}
}

func (k *checker) violate(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail(format, args...)
}

func (k *checker) fail(format string, args ...any) {
	if len(k.broken) < 500 {
		k.broken = append(k.broken, fmt.Sprintf(format, args...))
	}
}

func (k *checker) failed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.broken) > 0
}

func topicKey(c *conn, topic string) string { return c.device.session + "\x00" + topic }

func (k *checker) link(c *conn) *link {
	l := k.links[c.id]
	if l == nil {
		l = &link{topics: map[string]*linkTopic{}, pending: map[string]bool{}, asked: map[string]bool{}, numbers: map[string]int{}}
		k.links[c.id] = l
	}
	return l
}

// handing hears of a frame right before the engine gets it.
func (k *checker) handing(tick int64, c *conn, f *protocol.ClientFrame) {
	k.mu.Lock()
	defer k.mu.Unlock()
	topic := string(f.Topic)
	tk := topicKey(c, topic)
	l := k.link(c)
	switch f.Type {
	case protocol.TypeSubscribe:
		l.asked[tk] = true
	case protocol.TypeUnsubscribe:
		who := c.device.subscriber(c)
		delete(k.subs[tk], who)
		if k.leaving[tk+who] == nil {
			k.leaving[tk+who] = map[int]time.Time{}
		}
		k.leaving[tk+who][c.id] = time.Now()
	case protocol.TypePublish:
		id := string(f.MessageID)
		mk := tk + "\x00" + id
		m := k.messages[mk]
		if m == nil {
			l.numbers[tk]++
			m = &message{id: id, data: string(f.Data), hand: tick, handTime: time.Now(), sender: c.id, number: l.numbers[tk],
				conns: map[int]bool{}, origins: map[string]bool{}, reached: map[string]bool{}}
			k.messages[mk] = m
			k.published++
		}
		m.sends++
		m.conns[c.id] = true
		m.origins[c.device.subscriber(c)] = true
		l.pending[mk] = true
	}
}

// unsubscribed: what was on its way before the answer may have come.
func (k *checker) unsubscribed(c *conn, topic string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	tk := topicKey(c, topic)
	delete(k.link(c).asked, tk)
	who := c.device.subscriber(c)
	delete(k.subs[tk], who) // one that another connection was confirmed meanwhile may be gone again
	delete(k.leaving[tk+who], c.id)
}

// inDoubt reports whether an unsubscribe through another connection of the subscriber may still be carried out: its
// connection may end before the answer, and nothing is promised of which of the two comes last.
func (k *checker) inDoubt(tk, who string, c *conn) bool {
	for conn, at := range k.leaving[tk+who] {
		if conn != c.id && time.Since(at) < 20*time.Second {
			return true
		}
	}
	return false
}

func (k *checker) subscribed(tick int64, c *conn, topic string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	tk := topicKey(c, topic)
	if k.subs[tk] == nil {
		k.subs[tk] = map[string]*subscription{}
	}
	who := c.device.subscriber(c)
	if k.subs[tk][who] == nil && !k.inDoubt(tk, who, c) {
		k.subs[tk][who] = &subscription{since: tick, durable: c.device.durable(), got: map[string]bool{}, owed: map[string]*message{},
			settled: map[string]time.Time{}, live: map[string]bool{}, away: map[string]bool{}}
	}
}

// acked hears of ack_received: from here on every subscriber of the topic is owed the message.
func (k *checker) acked(tick int64, c *conn, topic, id string, seq uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	tk := topicKey(c, topic)
	mk := tk + "\x00" + id
	m := k.messages[mk]
	if m == nil {
		k.fail("ack_received for %q, which was never published", id)
		return
	}
	delete(k.link(c).pending, mk)
	if seq != 0 && m.seq != 0 && seq != m.seq {
		k.fail("message %s was acked as seq %d, then as seq %d", id, m.seq, seq)
	}
	late := seq != 0 && m.seq == 0 // acked before, when nothing had to be stored
	if seq != 0 {
		m.seq = seq
	}
	if m.ack != 0 && !late {
		return
	}
	m.ack, m.ackTime = tick, time.Now()
	for who, s := range k.subs[tk] {
		// A live copy may have passed before an ephemeral one came; and of a message that was sent again, an earlier ack
		// may have gone to a connection that was no more.
		if !s.got[id] && !m.reached[who] && !m.origins[who] && s.since < tick && (s.durable && m.sends == 1 || s.since < m.hand) {
			s.owed[id] = m
		}
	}
}

func (k *checker) refused(c *conn, topic, id string, code protocol.Code) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail("publish of %s on %s refused: %s", id, topic, code)
}

// delivered holds one delivery against everything that was promised.
func (k *checker) delivered(tick int64, c *conn, f *protocol.ServerFrame) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.deliveries++
	id, topic := string(f.MessageID), string(f.Topic)
	tk := topicKey(c, topic)
	who := c.device.subscriber(c)
	m := k.messages[tk+"\x00"+id]
	now := time.Now()
	if m == nil {
		k.fail("message %s on %s to %s: never published in this session", id, topic, who)
		return
	}
	where := fmt.Sprintf("message %s on %s to %s (conn %d, retry %d, replay %v, frame's seq %d, seq %d, sent %d times, acked at %d, now %d)", id, topic, who, c.id,
		f.Retry, f.Replay, f.Seq, m.seq, m.sends, m.ack, tick)
	again := m.sends > 1
	anew := again && m.seq == 0 // nothing is kept of what nobody was owed
	if m.data != string(f.Data) {
		k.fail("%s: data %q, want %q", where, f.Data, m.data)
	}
	m.reached[who] = true
	l := k.link(c)
	s := k.subs[tk][who]
	if !c.ready {
		k.fail("%s: before init_response", where)
	}
	if s == nil && !l.asked[tk] {
		if c.device.version == protocol.Version1 || !c.device.durable() {
			k.fail("%s: no subscription", where)
		}
		return // it may have been sent before an unsubscribe was handed in on another connection
	}
	if c.device.version == protocol.Version1 && !l.asked[tk] {
		k.fail("%s: a version 1 connection that has not subscribed", where)
	}
	first := f.Retry == 0 && !f.Replay
	if !again && (m.conns[c.id] || m.origins[who] && c.device.clientID != "") {
		k.fail("%s: to the one who published it", where)
	}
	if m.origins[who] && !first {
		k.fail("%s: one's own came back", where)
	}
	if f.Seq != 0 && m.seq != 0 && f.Seq != m.seq {
		k.fail("%s: seq %d, want %d", where, f.Seq, m.seq)
	}
	if k.expiry > 0 && m.ack != 0 && !again && now.After(m.ackTime.Add(k.expiry)) {
		k.fail("%s: %v after its expiry", where, now.Sub(m.ackTime.Add(k.expiry)))
	}
	lt := l.topics[tk]
	if lt == nil {
		lt = &linkTopic{last: map[int]int{}, tries: map[string]try{}}
		l.topics[tk] = lt
	}
	t, before := lt.tries[id]
	switch {
	case f.Retry > 0:
		k.retries++
		if before && f.Retry != t.n+1 {
			k.fail("%s: retry %d after %d", where, f.Retry, t.n)
		}
		if before && now.Sub(t.at) < protocol.DefaultRetryInterval {
			k.fail("%s: sent again after %v", where, now.Sub(t.at))
		}
	case f.Replay:
		k.replays++
		if f.Seq <= lt.replay {
			k.fail("%s: replay of seq %d after %d", where, f.Seq, lt.replay)
		}
		lt.replay = f.Seq
	default:
		if before && !anew {
			k.fail("%s: twice on one connection, unflagged", where)
		}
		if again {
			break // its places in its connections' orders are several
		}
		if n := lt.last[m.sender]; n > m.number {
			k.fail("%s: number %d of its sender after number %d", where, m.number, n)
		}
		lt.last[m.sender] = m.number
		lt.order = append(lt.order, m)
	}
	lt.tries[id] = try{f.Retry, now}
	if s == nil {
		return // the subscribe_response is on its way
	}
	if at, ok := s.settled[id]; ok && !anew {
		k.fail("%s: came back %v after it was settled", where, now.Sub(at))
	}
	if first && c.device.clientID != "" {
		if s.live[id] && !anew {
			k.fail("%s: delivered anew, unflagged", where)
		}
		s.live[id] = true
	}
	delete(s.owed, id)
	if !s.got[id] {
		s.got[id] = true
		for _, o := range s.owed {
			if o.ack < m.hand && !k.expired(o, now) && !s.away[o.id] {
				k.fail("%s: overtook %s, which was acked before it was published", where, o.id)
			}
		}
	}
}

// swallowed hears of a message that went to a dead connection: it comes again, but a user's other connection goes on.
func (k *checker) swallowed(c *conn, topic, id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.subs[topicKey(c, topic)][c.device.subscriber(c)]; s != nil && c.device.maxConns > 1 {
		s.away[id] = true
	}
}

func (k *checker) expired(m *message, now time.Time) bool {
	return k.expiry > 0 && !now.Before(m.handTime.Add(k.expiry)) // at the very moment it is over
}

// settled hears that the engine has taken a subscriber's ack.
func (k *checker) settled(_ int64, c *conn, f *protocol.ClientFrame) {
	c.mu.Lock()
	gone := c.gone
	c.mu.Unlock()
	if gone {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, id := range append(slices.Clone(f.MessageIDs), f.MessageID) {
		for tk, byWho := range k.subs {
			s := byWho[c.device.subscriber(c)]
			if s != nil && s.got[string(id)] && (len(f.Topic) == 0 || tk == topicKey(c, string(f.Topic))) {
				s.settled[string(id)] = time.Now()
			}
		}
	}
}

// crash: what was settled within the last moments may not have reached the store.
func (k *checker) crash(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.crashes++
	for _, byWho := range k.subs {
		for _, s := range byWho {
			clear(s.live)
			for id, at := range s.settled {
				if now.Sub(at) < 1500*time.Millisecond {
					delete(s.settled, id)
				}
			}
		}
	}
}

// left: an ephemeral subscriber is forgotten with its connection; nobody waits for an answer on it.
func (k *checker) left(c *conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !c.device.durable() {
		for _, byWho := range k.subs {
			delete(byWho, c.device.subscriber(c))
		}
	}
	if l := k.links[c.id]; l != nil {
		clear(l.pending)
	}
}

// active lists the topics that a device's subscriber holds.
func (k *checker) active(c *conn) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var topics []string
	prefix := c.device.session + "\x00"
	for tk, byWho := range k.subs {
		if byWho[c.device.subscriber(c)] != nil {
			topics = append(topics, tk[len(prefix):])
		}
	}
	slices.Sort(topics)
	return topics
}

// finish is called when everything is connected and acked: what is still owed is lost.
func (k *checker) finish(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for tk, byWho := range k.subs {
		for who, s := range byWho {
			for id, m := range s.owed {
				if !k.expired(m, now) {
					k.fail("lost: %s, owed to %s on %q", id, who, tk)
				}
			}
		}
	}
	for id, l := range k.links {
		for mk := range l.pending {
			k.fail("publish %q on connection %d was never answered", mk, id)
		}
	}
	k.oneOrder()
}

// oneOrder: the first live deliveries of a topic, as all connections saw them, fit one total order, if following them
// from message to message never leads back.
func (k *checker) oneOrder() {
	next := map[*message]map[*message]bool{}
	waits := map[*message]int{}
	for _, l := range k.links {
		for _, lt := range l.topics {
			for i := 1; i < len(lt.order); i++ {
				a, b := lt.order[i-1], lt.order[i]
				if next[a] == nil {
					next[a] = map[*message]bool{}
				}
				if !next[a][b] {
					next[a][b] = true
					waits[b]++
				}
			}
		}
	}
	var free []*message
	for m := range next {
		if waits[m] == 0 {
			free = append(free, m)
		}
	}
	for len(free) > 0 {
		m := free[len(free)-1]
		free = free[:len(free)-1]
		for b := range next[m] {
			if waits[b]--; waits[b] == 0 {
				free = append(free, b)
			}
		}
	}
	for m, n := range waits {
		if n > 0 {
			k.fail("live order: subscribers saw %s and others in different orders", m.id)
			return
		}
	}
}
