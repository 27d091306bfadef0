package session

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/storage"
)

// Step is what happened to a message on a node.
type Step string

const (
	StepPublished Step = "published"  // accepted from its publisher
	StepRefused   Step = "refused"    // its publisher was told so; Code says why
	StepStored    Step = "stored"     // committed, as Seq
	StepRepeat    Step = "repeat"     // the store knew it, as Seq
	StepNotStored Step = "not_stored" // no durable subscriber is owed it
	StepAnswered  Step = "answered"   // its publisher got ack_received
	StepArrived   Step = "arrived"    // its live copy came to this node
	StepLate      Step = "late"       // the same, too late: subscribers get it from the store
	StepDuplicate Step = "duplicate"  // the same, once more
	StepSent      Step = "sent"       // queued for a subscriber's connection, live
	StepReplayed  Step = "replayed"   // the same, read back from the store
	StepResent    Step = "resent"     // the same, once more, as Try
	StepDropped   Step = "dropped"    // qos 0, no room
	StepAcked     Step = "acked"      // by a subscriber
	StepGivenUp   Step = "given_up"   // after its tries
	StepExpired   Step = "expired"    // before a connected subscriber acked it
	StepPushed    Step = "pushed"     // to devices of its users; Code says with what result
)

// Event is a step of one message on this node. It holds names and numbers, never data.
type Event struct {
	N         uint64    `json:"n"`  // of this node's events, from 1
	At        time.Time `json:"at"` // the store's clock
	Step      Step      `json:"step"`
	Topic     string    `json:"topic"`
	MessageID string    `json:"messageId"`
	Who       string    `json:"who,omitempty"`  // a durable subscriber: "c:" and a clientId, or "u:" and a userId
	Conn      uint64    `json:"conn,omitempty"` // a connection of this node; 0: none, or a back end's
	Seq       uint64    `json:"seq,omitempty"`
	Try       int       `json:"try,omitempty"`
	Count     int       `json:"count,omitempty"` // devices
	Code      string    `json:"code,omitempty"`

	session string
}

// Bounds of tracing.
const (
	maxWatches = 16
	traceRing  = 4096             // events, the newest of all watches
	traceKept  = 10 * time.Minute // after the last watch has ended
	MaxWatch   = time.Hour        // the longest that a watch lasts
)

// watch says which messages' steps are noted.
type watch struct {
	session   string // storage.Session.ID
	messageID string // "": all of the session
	until     time.Time
}

// traces notes the steps of messages that an operator watches. While nobody watches, a step costs one load.
type traces struct {
	on atomic.Pointer[[]watch] // nil: nobody watches

	mu   sync.Mutex // guards the following
	ring []Event    // the newest traceRing, in a circle once it is full
	next int        // the oldest's place then
	last uint64
	end  time.Time // of the last watch
}

// Watch notes the steps of a session's messages, or of one of them, from now on, for d (at most MaxWatch). The same
// again lasts as long as the longer of both. False: as many as can be are watched already.
func (n *Node) Watch(session, messageID string, d time.Duration) bool {
	tr := &n.traces
	tr.mu.Lock()
	defer tr.mu.Unlock()
	now := time.Now()
	until := now.Add(min(d, MaxWatch))
	list := tr.watching(now)
	i := slices.IndexFunc(list, func(w watch) bool { return w.session == session && w.messageID == messageID })
	switch {
	case i >= 0 && list[i].until.After(until):
	case i >= 0:
		list[i].until = until
	case len(list) >= maxWatches:
		return false
	default:
		list = append(list, watch{session, messageID, until})
	}
	if tr.end.Before(until) {
		tr.end = until
	}
	tr.on.Store(&list)
	return true
}

// Unwatch ends a watch before its time.
func (n *Node) Unwatch(session, messageID string) {
	tr := &n.traces
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.keep(slices.DeleteFunc(tr.watching(time.Now()), func(w watch) bool { return w.session == session && w.messageID == messageID }))
}

// Watched is how long a session, or a message of it, is watched yet; 0: it is not.
func (n *Node) Watched(session, messageID string) time.Duration {
	if list := n.traces.on.Load(); list != nil {
		for _, w := range *list {
			if w.session == session && w.messageID == messageID {
				return max(time.Until(w.until), 0)
			}
		}
	}
	return 0
}

// watching is a copy of the watches that last. mu is held.
func (tr *traces) watching(now time.Time) (list []watch) {
	if was := tr.on.Load(); was != nil {
		for _, w := range *was {
			if w.until.After(now) {
				list = append(list, w)
			}
		}
	}
	return list
}

// keep makes list the watches. mu is held.
func (tr *traces) keep(list []watch) {
	if len(list) == 0 {
		tr.on.Store(nil)
		return
	}
	tr.on.Store(&list)
}

// tidy ends watches whose time is over, and forgets the events a while after the last.
func (tr *traces) tidy(now time.Time) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.on.Load() != nil {
		tr.keep(tr.watching(now))
	}
	if tr.ring != nil && now.Sub(tr.end) > traceKept {
		tr.ring, tr.next = nil, 0
	}
}

// watched reports whether anybody watches anything: ask it before making an Event.
func (t *topic) watched() bool { return t.node.traces.on.Load() != nil }

// trace notes a step of one of the topic's messages, if it is watched.
func (t *topic) trace(e Event) {
	e.Topic = t.name
	t.node.traceOf(t.tenant.id, e)
}

// Pushed notes that devices were sent a push for a message, and with what result.
func (n *Node) Pushed(session, topic, messageID, result string, devices int) {
	if n.traces.on.Load() != nil {
		n.traceOf(session, Event{Step: StepPushed, Topic: topic, MessageID: messageID, Code: result, Count: devices})
	}
}

func (n *Node) traceOf(session string, e Event) {
	tr := &n.traces
	list := tr.on.Load()
	if list == nil || !slices.ContainsFunc(*list, func(w watch) bool {
		return w.session == session && (w.messageID == "" || w.messageID == e.MessageID)
	}) {
		return
	}
	e.At, e.session = n.storeNow(), session
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.last++
	e.N = tr.last
	if len(tr.ring) < traceRing {
		tr.ring = append(tr.ring, e)
		return
	}
	tr.ring[tr.next] = e
	tr.next = (tr.next + 1) % traceRing
}

// Traced lists up to limit of the newest steps noted of a session's messages, or of one of them, that came after
// number after, in their order.
func (n *Node) Traced(session, messageID string, after uint64, limit int) []Event {
	tr := &n.traces
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var list []Event
	for i := range tr.ring {
		e := tr.ring[(tr.next+i)%len(tr.ring)]
		if e.N > after && e.session == session && (messageID == "" || e.MessageID == messageID) {
			list = append(list, e)
		}
	}
	return list[max(0, len(list)-limit):]
}

// traced is a step towards or of a subscriber's connection.
func (c *Conn) traced(m *message, step Step, try int) {
	e := Event{Step: step, MessageID: m.id, Conn: c.number, Seq: m.seq.Load(), Try: try}
	if c.subscriber != nil {
		e.Who = string(c.subscriber.key)
	}
	m.topic.trace(e)
}

// traceSent is traced of what is queued for a connection first.
func (c *Conn) traceSent(m *message, replay bool) {
	step := StepSent
	if replay {
		step = StepReplayed
	}
	c.traced(m, step, 0)
}

// traceCopy is trace of a live copy.
func (t *topic) traceCopy(c *backplane.Copy, step Step) {
	if t.watched() {
		t.trace(Event{Step: step, MessageID: c.MessageID, Who: c.Origin})
	}
}

// trace notes the store's word on a publish.
func (p *publish) trace(r storage.Appended) {
	e := Event{MessageID: p.copy.MessageID, Seq: r.Seq, Who: p.copy.Origin}
	switch r.Outcome {
	case storage.Stored:
		e.Step = StepStored
	case storage.Repeat:
		e.Step = StepRepeat
	case storage.NotStored:
		e.Step = StepNotStored
	default:
		return // it is refused
	}
	p.topic.trace(e)
}
