package verify

import (
	"sync"
	"time"
)

// Checker knows every publish and every hand-over of a run, and what follows from them. Its methods take the time of
// what they are told, since the load began; they are safe for concurrent use.
type Checker struct {
	names    naming
	expiries []time.Duration // by session: how long its messages live; 0: longer than the run

	mu       sync.Mutex // guards the following
	streams  map[streamKey]*stream
	topics   map[[2]int]*topic // by session and number
	boxes    []*Mailbox
	seats    int
	trouble  windows
	found    findings
	suspects []suspicion

	published, acked, failed uint64
	once                     Once
	deliveries               uint64 // hand-overs, repeats included
	delivered                uint64 // to each mailbox once
	repeats                  uint64 // seen on sockets, and flagged as they must be
	outstanding              int    // acked, owed and not delivered
	ackTimes                 [2]Histogram
	deliveryTimes            [2]Histogram // calm, and with faults
	aside                    bool
	asideTimes               Histogram // calm but for what goes on aside
}

// topic is one topic of one session.
type topic struct {
	boxes   []*Mailbox // subscribed, or about to be
	live    *liveOrder
	numbers map[uint64]settledKey // who has a seq; of the last ones
	old     []uint64              // a ring of the keys of numbers
	next    int
}

func (t *topic) holds(b *Mailbox) bool {
	for _, box := range t.boxes {
		if box == b {
			return true
		}
	}
	return false
}

// NewChecker makes a Checker. expiries are the sessions' message expiries, 0 for what outlives the run.
func NewChecker(run string, payload int, expiries ...time.Duration) *Checker {
	return &Checker{
		names: naming{run, payload}, expiries: expiries,
		streams: make(map[streamKey]*stream), topics: make(map[[2]int]*topic),
	}
}

func (c *Checker) expiry(session int) time.Duration { return c.expiries[session] }

func (c *Checker) topic(session, number int) *topic {
	t := c.topics[[2]int{session, number}]
	if t == nil {
		t = &topic{live: newLiveOrder(), numbers: make(map[uint64]settledKey)}
		c.topics[[2]int{session, number}] = t
	}
	return t
}

// Publisher says how a publisher's messages are to be judged.
type Publisher struct {
	Session, Number int
	Own             *Mailbox // of the same connection, which gets none of them; or nil
	// Unsaid: it may send again without saying so. Version 1 has no word for it, and of two that send the same neither
	// knows when the other one did.
	Unsaid bool
	// Once: its messages are of qos 0. Nobody is owed them; who is connected gets them, once.
	Once bool
}

// Publish notes that a publisher's next message on a topic is about to go out, and names it.
func (c *Checker) Publish(p Publisher, topic int, at time.Duration) (id ID, messageID, payload string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := streamKey{p.Session, p.Number, topic}
	s := c.streams[key]
	if s == nil {
		s = &stream{key: key, topic: c.topic(p.Session, topic), own: p.Own, unsaid: p.Unsaid, once: p.Once}
		c.streams[key] = s
	}
	id = ID{p.Session, p.Number, topic, s.next}
	s.publish(id.N, at)
	if s.once {
		c.once.Published++
	} else {
		c.published++
	}
	return id, c.names.messageID(id), c.names.payload(id)
}

// Acked notes an ack. tries is how often the message went out, seq its position; 0 where they are not known.
func (c *Checker) Acked(id ID, tries int, seq uint64, at time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[streamKey{id.Session, id.Publisher, id.Topic}]
	r := s.record(id.N)
	if r == nil {
		return
	}
	if seq > 0 {
		c.number(s, id.N, r, Delivery{MessageID: c.names.messageID(id), Seq: seq, At: at})
	}
	if r.acked > 0 { // through another node
		return
	}
	r.acked, r.tries = at, tries
	if s.once {
		c.once.Acked++
		return
	}
	c.acked++
	c.ackTimes[c.calm(r.published, at)].Add(at - r.published)
	for _, b := range s.topic.boxes {
		if b.owed(s, at) {
			r.need++
		}
	}
	c.outstanding += max(0, r.need-r.got)
}

// Withdrawn notes that a message did not go out, and never will.
func (c *Checker) Withdrawn(id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[streamKey{id.Session, id.Publisher, id.Topic}].record(id.N).failed = true
	c.published--
}

// Failed notes that a message was refused for good, or given up by its publisher at the end of the run.
func (c *Checker) Failed(id ID, breach Breach, why error, at time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.streams[streamKey{id.Session, id.Publisher, id.Topic}].record(id.N)
	if r == nil || r.acked > 0 || r.failed {
		return
	}
	c.failed++
	r.failed = true
	c.add(breach, at, "%s, published at %v: %v", c.names.messageID(id), r.published, why)
}

// Forgone notes that a message of qos 0 was not acked, and is not sent again. why is nil where its connection was lost.
func (c *Checker) Forgone(id ID, why error, at time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.streams[streamKey{id.Session, id.Publisher, id.Topic}].record(id.N)
	if r == nil || r.acked > 0 || r.failed {
		return
	}
	r.failed = true
	if why != nil && !c.trouble.during(AnyTrouble, r.published, at) {
		c.add(Refused, at, "%s of qos 0, published at %v: %v", c.names.messageID(id), r.published, why)
	}
}

// Trouble tells that a fault begins. What it returns tells that it is over.
func (c *Checker) Trouble(what Trouble, at time.Duration) (over func(at time.Duration)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.trouble.open(what, at)
	return func(at time.Duration) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.trouble.close(i, at)
	}
}

// Broken notes a promise that was not the messages'.
func (c *Checker) Broken(b Breach, at time.Duration, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(b, at, format, args...)
}

func (c *Checker) add(b Breach, at time.Duration, format string, args ...any) {
	c.found.add(b, at, format, args...)
}

// handedOver notes that a mailbox has a message for the first time.
func (c *Checker) handedOver(b *Mailbox, s *stream, r *record, at time.Duration) {
	if s.once {
		c.once.Delivered++
	} else {
		c.delivered++
	}
	if r == nil {
		return
	}
	if b.kind != Ephemeral && !s.once {
		if r.got++; r.acked > 0 && r.got <= r.need {
			c.outstanding--
		}
	}
	if !b.away {
		switch calm := c.calm(r.published, at); {
		case calm == 0 && c.aside:
			c.asideTimes.Add(at - r.published)
		default:
			c.deliveryTimes[calm].Add(at - r.published)
		}
	}
}

// Aside has the times of deliveries kept apart until over is called, which tells the usual ones and those.
func (c *Checker) Aside() (over func() (usual, aside Latency)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.aside, c.asideTimes = true, Histogram{}
	return func() (usual, aside Latency) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.aside = false
		return latency(&c.deliveryTimes[0]), latency(&c.asideTimes)
	}
}

// calm is 0 where there was no fault in that time, else 1.
func (c *Checker) calm(from, to time.Duration) int {
	if c.trouble.during(AnyTrouble, from, to) {
		return 1
	}
	return 0
}

// maxNumbers is how many positions of a topic are known.
const maxNumbers = 4096

// number holds a message to one position, and a position to one message.
func (c *Checker) number(s *stream, n int, r *record, d Delivery) {
	if r.seq == d.Seq {
		return
	}
	if r.seq != 0 {
		c.add(Renumbered, d.At, "%s is at %d, and was at %d", d.MessageID, d.Seq, r.seq)
		return
	}
	r.seq = d.Seq
	t, k := s.topic, settledKey{s, n}
	if other, ok := t.numbers[d.Seq]; ok && other != k {
		id := ID{other.s.key.session, other.s.key.publisher, other.s.key.topic, other.n}
		c.add(Renumbered, d.At, "%s is at %d, where %s is", d.MessageID, d.Seq, c.names.messageID(id))
		return
	}
	t.numbers[d.Seq] = k
	if len(t.old) < maxNumbers {
		t.old = append(t.old, d.Seq)
		return
	}
	delete(t.numbers, t.old[t.next])
	t.old[t.next] = d.Seq
	t.next = (t.next + 1) % maxNumbers
}
