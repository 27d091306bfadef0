package session_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// checker is the delivery contract (docs/protocol.md, "Delivery") as a plain model: it hears of every frame that goes in
// or comes out, in one order of ticks, of what the store commits, and says which promise was broken. It shares no code
// with what it checks.
type checker struct {
	mu       sync.Mutex // guards all
	broken   []string
	story    []event
	begun    time.Time
	weather  *weather
	expiry   time.Duration // of every message; 0: none within the run
	cluster  bool          // of several nodes, which lose each other now and then
	names    map[string]string
	troubled time.Time // when any node was last in trouble
	messages map[string]*message
	seqs     map[string]map[uint64]string        // what the store numbered: topic key, then message id
	subs     map[string]map[string]*subscription // topic key, then subscriber
	links    map[int]*link                       // by connection
	leaving  map[string]map[int]time.Time        // unsubscribes without an answer: topic key and subscriber, then connection

	published, deliveries, replays, retries, crashes, refusals int
}

// event is a line of the story, for whoever looks for a fault: about a message by its id, or a device by its name, or a
// node.
type event struct {
	at          time.Duration
	what, about string
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
	old      bool            // one of them was a repeat that version 1 has no word for, or that did not know that it was one
	ack      int64           // tick of its first ack_received; 0: none
	ackTime  time.Time
	seq      uint64
	seqSeen  uint64    // in a replay
	stored   time.Time // when the store had it
	handTime time.Time
	flagged  bool // from its first publish on
	denied   bool // refused once: what came of it then does not count
	apart    bool // through a node that could not reach the others: they get it late, and not at all if ephemeral
}

// subscription is what one subscriber is owed on one topic.
type subscription struct {
	since   int64 // tick of the subscribe_response
	durable bool
	apart   bool                 // confirmed by a node that could not ask the others
	got     map[string]bool      // delivered at least once, by message id
	owed    map[string]*message  // acked to the publisher, not delivered yet
	settled map[string]ack       // acked by the subscriber
	flushed map[string]time.Time // and the row says so
	away    map[string]bool      // sent to a connection that takes nothing any more, while another of the user may be live
	live    map[string]bool      // got as a first live delivery
}

// ack is a subscriber's.
type ack struct {
	at     time.Time
	server *server
	early  bool // before the store had the message
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
	replay *message // with the highest seq so far
	tries  map[string]try
}

type try struct {
	n         int
	at, first time.Time
}

func newChecker() *checker {
	return &checker{begun: time.Now(), names: map[string]string{}, messages: map[string]*message{}, seqs: map[string]map[uint64]string{},
		subs: map[string]map[string]*subscription{}, links: map[int]*link{}, leaving: map[string]map[int]time.Time{}}
}

func (k *checker) violate(format string, args ...any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail("", format, args...)
}

// fail records a broken promise; of the first one, with what led to it.
func (k *checker) fail(about, format string, args ...any) {
	if len(k.broken) >= 20 {
		return
	}
	text := fmt.Sprintf(format, args...)
	if len(k.broken) == 0 && about != "" {
		text += "\n" + k.tale(about, text)
	}
	k.broken = append(k.broken, text)
}

// tale is the story of a message, and of the device that a text speaks of.
func (k *checker) tale(id, text string) string {
	story := *modelStory
	if at := strings.Index(text, "(conn "); story == "conn" && at >= 0 {
		story = "on conn " + text[at+6:at+strings.IndexByte(text[at:], ',')] + " at"
	}
	var lines []string
	begun := 0
	for _, e := range k.story {
		what := e.what
		if e.about != id && e.about != "" && !strings.Contains(e.about, "/") {
			what = e.about + " " + what
		}
		if e.about == id && begun == 0 {
			begun = len(lines) + 1
		}
		if story != "" && strings.Contains(e.what, story) || e.about == id || (e.about == "" || strings.Contains(e.about, "/")) && strings.Contains(text, e.about) {
			lines = append(lines, fmt.Sprintf("  %12v %s", e.at, what))
		}
	}
	return strings.Join(lines[max(0, begun-15):], "\n")
}

func (k *checker) tell(what, about string) { k.mu.Lock(); defer k.mu.Unlock(); k.note(what, about) }

func (k *checker) note(what, about string) {
	k.story = append(k.story, event{time.Since(k.begun), what, about})
}

func (k *checker) isBroken() bool {
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
		k.note(fmt.Sprintf("%s unsubscribes %s on conn %d", who, topic, c.id), who)
	case protocol.TypePublish:
		id := string(f.MessageID)
		mk := tk + "\x00" + id
		m := k.messages[mk]
		if m == nil {
			l.numbers[tk]++
			m = &message{id: id, data: string(f.Data), hand: tick, handTime: time.Now(), sender: c.id, number: l.numbers[tk],
				flagged: f.Retry, conns: map[int]bool{}, origins: map[string]bool{}, reached: map[string]bool{}}
			k.messages[mk] = m
			k.published++
		} else if !f.Retry {
			m.old = true
		}
		m.sends++
		m.apart = m.apart || !c.server.plane.well()
		m.conns[c.id] = true
		m.origins[c.device.subscriber(c)] = true
		l.pending[mk] = true
		k.note(fmt.Sprintf("published by %s on conn %d at %s, retry %v", c.device.name, c.id, c.server.plane.id, f.Retry), id)
	}
}

// commit hears what the store makes of a group, before anyone can see it there.
func (k *checker) commit(node string, group []storage.Entry, call func() ([]storage.Appended, string, error)) ([]storage.Appended, string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	results, epoch, err := call()
	if err != nil {
		return nil, "", err
	}
	for i, r := range results {
		e := &group[i]
		k.note(fmt.Sprintf("appended by %s: outcome %d, seq %d", node, r.Outcome, r.Seq), e.MessageID)
		tk := k.names[e.Topic.Session] + "\x00" + e.Topic.Name
		if r.Outcome == storage.Stored {
			if k.seqs[tk] == nil {
				k.seqs[tk] = map[uint64]string{}
			}
			k.seqs[tk][r.Seq] = e.MessageID
			if m := k.messages[tk+"\x00"+e.MessageID]; m != nil {
				m.stored = time.Now()
			}
		}
	}
	return results, epoch, nil
}

// flushed hears what a row has taken in.
func (k *checker) flushed(node string, b *storage.Settlement, row storage.Subscription) {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := k.names[b.Topic.Session]
	tk := name + "\x00" + b.Topic.Name
	s := k.subs[tk][name+"/"+string(b.Subscriber)]
	if s == nil {
		return
	}
	for _, r := range b.Acked {
		for seq := r.Lo; seq <= r.Hi; seq++ {
			id := k.seqs[tk][seq]
			if id != "" && s.flushed[id].IsZero() && row.Settled.Contains(seq) {
				s.flushed[id] = time.Now()
				k.note(fmt.Sprintf("settled for %s in the store by %s", b.Subscriber, node), id)
			}
		}
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
	k.note(fmt.Sprintf("%s unsubscribed %s on conn %d", who, topic, c.id), who)
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
	k.note(fmt.Sprintf("%s subscribed %s on conn %d at %s", who, topic, c.id, c.server.plane.id), who)
	if k.subs[tk][who] == nil && !k.inDoubt(tk, who, c) {
		k.subs[tk][who] = &subscription{since: tick, durable: c.device.durable(),
			apart: k.troubledSince(c.server, time.Now().Add(-5*time.Second)), got: map[string]bool{}, owed: map[string]*message{},
			settled: map[string]ack{}, flushed: map[string]time.Time{}, live: map[string]bool{}, away: map[string]bool{}}
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
		k.fail(id, "ack_received for %q, which was never published", id)
		return
	}
	k.note(fmt.Sprintf("acked on conn %d as %d", c.id, seq), id)
	delete(k.link(c).pending, mk)
	if seq != 0 && m.seq != 0 && seq != m.seq {
		k.fail(id, "message %s was acked as seq %d, then as seq %d", id, m.seq, seq)
	}
	if seq != 0 && k.seqs[tk][seq] != id {
		k.fail(id, "message %s was acked as seq %d, which is %q", id, seq, k.seqs[tk][seq])
	}
	late := seq != 0 && m.seq == 0 // acked before, when nothing had to be stored
	if seq != 0 {
		m.seq = seq
	}
	if m.ack != 0 && !late {
		return
	}
	m.ack, m.ackTime = tick, time.Now()
	m.apart = m.apart || !c.server.plane.well() || c.server.troubled.After(m.handTime)
	for who, s := range k.subs[tk] {
		if k.cluster && !s.durable {
			continue // a copy is lost for whoever rests on no store
		}
		if s.since > m.hand && (m.apart || s.apart || time.Since(m.stored) > 2*time.Second) {
			continue // nobody waits longer for another node's acks
		}
		// A live copy may have passed before an ephemeral one came; and of a message that was sent again, an earlier ack
		// may have gone to a connection that was no more.
		if !s.got[id] && !m.reached[who] && !m.origins[who] && s.since < tick && (s.durable && m.sends == 1 || s.since < m.hand) {
			s.owed[id] = m
		}
	}
}

// troubledSince reports whether a node was not well part of the cluster at some time since.
func (k *checker) troubledSince(s *server, since time.Time) bool {
	return s.killed.IsZero() && !s.plane.well() || s.troubled.After(since)
}

// failed hears of a request that was answered with a failure.
func (k *checker) failed(c *conn, what string, code protocol.Code) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if code == protocol.Unavailable && (!k.weather.fair(20*time.Second) || k.troubledSince(c.server, time.Now().Add(-20*time.Second))) {
		k.refusals++
		return
	}
	k.fail("", "%s: %s failed: %s", c.device.name, what, code)
}

func (k *checker) refused(c *conn, topic, id string, code protocol.Code) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.note(fmt.Sprintf("refused on conn %d: %s", c.id, code), id)
	if code == protocol.Unavailable && (!k.weather.fair(10*time.Second) || k.troubledSince(c.server, time.Now().Add(-10*time.Second))) {
		k.refusals++
		if m := k.messages[topicKey(c, topic)+"\x00"+id]; m != nil {
			m.denied = true
		}
		delete(k.link(c).pending, topicKey(c, topic)+"\x00"+id)
		return // nobody was owed it, or nobody knows
	}
	k.fail(id, "publish of %s on %s refused: %s", id, topic, code)
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
		k.fail(id, "message %s on %s to %s: never published in this session", id, topic, who)
		return
	}
	k.note(fmt.Sprintf("to %s on conn %d at %s: retry %d, replay %v, seq %d", who, c.id, c.server.plane.id, f.Retry, f.Replay, f.Seq), id)
	where := fmt.Sprintf("message %s on %s to %s (conn %d, retry %d, replay %v, frame's seq %d, seq %d, sent %d times, acked at %d, now %d)", id, topic, who, c.id,
		f.Retry, f.Replay, f.Seq, m.seq, m.sends, m.ack, tick)
	again := m.sends > 1
	anew := again && m.seq == 0 // nothing is kept of what nobody was owed
	if m.data != string(f.Data) {
		k.fail(id, "%s: data %q, want %q", where, f.Data, m.data)
	}
	m.reached[who] = true
	l := k.link(c)
	s := k.subs[tk][who]
	if !c.ready {
		k.fail(id, "%s: before init_response", where)
	}
	lt := l.topics[tk]
	if lt == nil {
		lt = &linkTopic{last: map[int]int{}, tries: map[string]try{}}
		l.topics[tk] = lt
	}
	t, before := lt.tries[id]
	if !before {
		t.first = now
	}
	lt.tries[id] = try{f.Retry, now, t.first}
	if s == nil && !l.asked[tk] {
		if c.device.version == protocol.Version1 || !c.device.durable() {
			k.fail(id, "%s: no subscription", where)
		}
		return // it may have been sent before an unsubscribe was handed in on another connection
	}
	if c.device.version == protocol.Version1 && !l.asked[tk] {
		k.fail(id, "%s: a version 1 connection that has not subscribed", where)
	}
	first := f.Retry == 0 && !f.Replay
	if !again && (m.conns[c.id] || m.origins[who] && c.device.clientID != "") {
		k.fail(id, "%s: to the one who published it", where)
	}
	if m.origins[who] && !again && !first && (f.Retry != 1 || !m.flagged) {
		k.fail(id, "%s: one's own came back", where)
	}
	if f.Seq != 0 && k.seqs[tk][f.Seq] != id {
		k.fail(id, "%s: this seq is %q", where, k.seqs[tk][f.Seq])
	}
	if k.expiry > 0 && m.ack != 0 && !again && now.After(m.ackTime.Add(k.expiry)) && !k.troubledSince(c.server, now.Add(-time.Second)) {
		k.fail(id, "%s: %v after its expiry", where, now.Sub(m.ackTime.Add(k.expiry)))
	}
	switch {
	case f.Retry > 0:
		k.retries++
		if before && f.Retry != t.n+1 {
			k.fail(id, "%s: retry %d after %d", where, f.Retry, t.n)
		}
		if before && now.Sub(t.at) < protocol.DefaultRetryInterval && c.server.troubled.Before(t.at) {
			k.fail(id, "%s: sent again after %v", where, now.Sub(t.at))
		}
	case f.Replay:
		k.replays++
		if f.Seq == 0 {
			break // copies that nothing was heard of for long: the store may never have had them
		}
		if r := lt.replay; r != nil && f.Seq <= r.seqSeen && m.ack != 0 && m.ack < r.hand {
			k.fail(id, "%s: replay of seq %d after %d", where, f.Seq, r.seqSeen)
		}
		if !again {
			m.seqSeen = f.Seq
			if lt.replay == nil || lt.replay.seqSeen < f.Seq {
				lt.replay = m
			}
		}
	default:
		if before && !anew && !m.old {
			k.fail(id, "%s: twice on one connection, unflagged", where)
		}
		if again {
			break // its places in its connections' orders are several
		}
		if n := lt.last[m.sender]; n > m.number {
			k.fail(id, "%s: number %d of its sender after number %d", where, m.number, n)
		}
		lt.last[m.sender] = m.number
		lt.order = append(lt.order, m)
	}
	if s == nil {
		return // the subscribe_response is on its way
	}
	if !anew && !m.denied && !m.old && (!again || k.weather.fair(5*time.Second)) {
		k.cameBack(s, c, m, where, t.first, now)
	}
	if first && c.device.clientID != "" {
		if s.live[id] && !anew && !m.old {
			k.fail(id, "%s: delivered anew, unflagged", where)
		}
		s.live[id] = true
	}
	delete(s.owed, id)
	if !s.got[id] {
		s.got[id] = true
		for _, o := range s.owed {
			if c.server.plane.loses(o.id, 1) && c.server.troubled.After(o.handTime) {
				continue // its copy was late there: of a message both are lost only with the link, which would be told
			}
			if o.ack < m.hand && !k.expired(o, now) && !s.away[o.id] && !o.apart && (!k.cluster || c.server.plane.heardOf(o.id)) {
				k.note(fmt.Sprintf("overtaken by %s", id), o.id)
				k.fail(o.id, "%s: overtook %s, which was acked before it was published", where, o.id)
			}
		}
	}
}

// cameBack holds a delivery against what its subscriber has acked. Whatever has an ack in its memory sends no more, and
// whoever asked the store after that had it. first is when it came first on this connection.
func (k *checker) cameBack(s *subscription, c *conn, m *message, where string, first, now time.Time) {
	if a, ok := s.settled[m.id]; ok {
		switch {
		case a.server.plane.loses(m.id, 1) && (a.early || now.Sub(a.at) > 10*time.Second):
			ok = false // nothing told its node what the ack is for, and it has left the topic since
		case a.server == c.server:
		case !a.server.plane.notedOf(m.id) && now.Sub(a.at) < 20*time.Second:
			ok = false // its publisher's node was cut off before the note: until it looks, its node has no number to settle
		case first.After(a.at) && first.Before(now):
			ok = false // a repeat of what came back for a reason
		case c.device.userID == "" && c.opened.Before(a.at):
			ok = false // through a connection that this one has taken over
		case k.troubledSince(c.server, c.opened.Add(-5*time.Second)):
			ok = false // it could not ask
		case !a.server.killed.IsZero() && a.server.killed.Sub(a.at) < 3*time.Second:
			ok = false // it went with its node
		case !a.server.ended.IsZero() && (s.flushed[m.id].IsZero() || s.flushed[m.id].After(a.server.ended)):
			ok = false // the store did not take it before the node's end
		case a.early || k.troubledSince(a.server, a.at.Add(-5*time.Second)) || !k.weather.fair(5*time.Second) ||
			a.server.plane.loses(m.id, 1):
			ok = false // its node may not have been able to say it to anyone
		case c.device.userID != "":
			ok = now.Sub(a.at) > 6*time.Second && now.Sub(k.troubled) > 20*time.Second
		}
		if ok {
			k.fail(m.id, "%s: came back %v after it was acked at %s", where, now.Sub(a.at), a.server.plane.id)
			return
		}
	}
	at, ok := s.flushed[m.id]
	late := c.device.userID != "" && now.Sub(at) > 6*time.Second && k.weather.fair(5*time.Second) &&
		now.Sub(k.troubled) > 20*time.Second // nodes that a lease ended for look at no rows for each other's sake
	if repeat := first.After(at) && first.Before(now); ok && !repeat && (at.Before(c.opened) || late) {
		k.fail(m.id, "%s: came back %v after the store knew that it was settled", where, now.Sub(at))
	}
}

// swallowed hears of a message that went to a dead connection: it comes again, but a user's other connection goes on.
func (k *checker) swallowed(c *conn, topic, id string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.note(fmt.Sprintf("to nobody on conn %d at %s", c.id, c.server.plane.id), id)
	if s := k.subs[topicKey(c, topic)][c.device.subscriber(c)]; s != nil && c.device.maxConns > 1 {
		s.away[id] = true
	}
}

func (k *checker) expired(m *message, now time.Time) bool {
	return k.expiry > 0 && !now.Before(m.handTime.Add(k.expiry)) // at the very moment it is over
}

// settled hears that the engine has taken a subscriber's ack.
func (k *checker) settled(c *conn, f *protocol.ClientFrame) {
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
			if s == nil || !s.got[string(id)] || len(f.Topic) != 0 && tk != topicKey(c, string(f.Topic)) {
				continue
			}
			if _, has := s.settled[string(id)]; !has {
				m := k.messages[tk+"\x00"+string(id)]
				s.settled[string(id)] = ack{time.Now(), c.server, m != nil && m.stored.IsZero()}
				k.note(fmt.Sprintf("acked by %s on conn %d at %s", c.device.subscriber(c), c.id, c.server.plane.id), string(id))
			}
		}
	}
}

// crash hears that a node is killed.
func (k *checker) crash(s *server) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.crashes++
	s.killed = time.Now()
	k.endsWith(s)
	k.note("node is killed: "+s.plane.id, "")
}

// ended hears that a node has stopped.
func (k *checker) ended(s *server) { k.mu.Lock(); defer k.mu.Unlock(); k.endsWith(s) }

// endsWith notes a node's end, where the store may not have taken what it had to say.
func (k *checker) endsWith(s *server) {
	if !k.weather.fair(3 * time.Second) {
		s.ended = time.Now()
	}
}

// trouble hears of a node that is cut off or frozen, or no longer is.
func (k *checker) trouble(s *server, what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.troubled = time.Now()
	k.troubled = s.troubled
	k.note("node "+s.plane.id+" "+what, "")
}

// trusted reports whether a node has been part of the cluster for long enough that others know its connections.
func (k *checker) trusted(s *server) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return s.plane.well() && time.Since(s.troubled) > 5*time.Second
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
		if strings.HasPrefix(tk, prefix) && byWho[c.device.subscriber(c)] != nil {
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
					k.fail(id, "lost: %s, owed to %s on %q", id, who, tk)
				}
			}
		}
	}
	for id, l := range k.links {
		for mk := range l.pending {
			k.fail(mk[strings.LastIndexByte(mk, 0)+1:], "publish %q on connection %d was never answered", mk, id)
		}
	}
	for tk, bySeq := range k.seqs {
		for seq := uint64(1); seq <= uint64(len(bySeq)); seq++ {
			if bySeq[seq] == "" {
				k.fail("", "%q has no seq %d among its %d", tk, seq, len(bySeq))
			}
		}
	}
	k.oneOrder()
}
