package verify

import (
	"time"
)

// settleTime is how long after an ack has gone out it must have been taken: acks are written in batches a second apart.
const settleTime = 5 * time.Second

// expirySlack is for what was on its way when a message expired.
const expirySlack = 2 * time.Second

// Reader is one application that reads a Mailbox: a client of the SDK, which hands each message over once, or a socket,
// on which repeats are seen.
type Reader struct {
	box  *Mailbox
	once bool // repeats are the SDK's to keep away
	seat *seat

	// Guarded by the Checker's mu.
	topics map[int]*reading
}

// reading is what a reader has had of one topic.
type reading struct {
	latest  time.Duration // when the latest of what it has had was published
	streams map[*stream]*readStream
}

type readStream struct {
	seen bitmap
	// What came live, and what came from the store. Between the two no order of one publisher's messages that were
	// under way together is promised.
	live, replayed lastLive
}

// seat is where readers follow each other; it counts what they had live, by topic.
type seat struct {
	id   int
	live map[int]int
}

// NewReader is a fresh application on the mailbox; once says that it must get each message only once. Those that read
// at the same time have seats of their own, from 0; one that follows another takes its seat.
func (b *Mailbox) NewReader(once bool, seatNumber int) *Reader {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	for len(b.seats) <= seatNumber {
		b.c.seats++
		b.seats = append(b.seats, &seat{b.c.seats, make(map[int]int)})
	}
	return &Reader{box: b, once: once, seat: b.seats[seatNumber], topics: make(map[int]*reading)}
}

// Delivery is a message as it was handed over.
type Delivery struct {
	Topic, MessageID string
	Payload          string
	Retry            int
	Replay           bool
	Once             bool // it says that it is of qos 0
	Seq              uint64
	At               time.Duration
}

// Deliver takes what was handed over.
func (r *Reader) Deliver(d Delivery) {
	b, c := r.box, r.box.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deliveries++
	id, ok := c.names.parse(d.MessageID)
	switch {
	case !ok:
		c.add(Foreign, d.At, "%s got %q on %s, which this run never published", b.name, d.MessageID, d.Topic)
		return
	case id.Session != b.session:
		c.add(Foreign, d.At, "%s of session %d got %s of session %d", b.name, b.session, d.MessageID, id.Session)
		return
	case d.Topic != topicName(id.Topic):
		c.add(Foreign, d.At, "%s got %s on %s, but it was published on %s", b.name, d.MessageID, d.Topic, topicName(id.Topic))
		return
	}
	s := c.streams[streamKey{id.Session, id.Publisher, id.Topic}]
	if s == nil || !s.known(id.N) {
		c.add(Foreign, d.At, "%s got %s, which was never published", b.name, d.MessageID)
		return
	}
	if !s.topic.holds(b) {
		c.add(Foreign, d.At, "%s got %s, and is not subscribed to %s", b.name, d.MessageID, d.Topic)
		return
	}
	if d.Payload != c.names.payload(id) {
		c.add(Corrupt, d.At, "%s got %s with a content of %d bytes that is not its own", b.name, d.MessageID, len(d.Payload))
	}
	if s.own == b {
		c.add(Echo, d.At, "%s got its own %s", b.name, d.MessageID)
		return
	}
	r.take(s, id.N, d)
}

// take notes one of the mailbox's own messages.
func (r *Reader) take(s *stream, n int, d Delivery) {
	b, c := r.box, r.box.c
	t := r.topics[s.key.topic]
	if t == nil {
		t = &reading{streams: make(map[*stream]*readStream)}
		r.topics[s.key.topic] = t
	}
	rs := t.streams[s]
	if rs == nil {
		rs = new(readStream)
		t.streams[s] = rs
	}
	rec := s.record(n)
	if rec != nil && d.Seq > 0 {
		c.number(s, n, rec, d)
	}
	if limit := c.expiry(b.session); limit > 0 && rec != nil && rec.acked > 0 && d.At > rec.acked+limit+expirySlack {
		c.add(Stale, d.At, "%s got %s %v after it was acked, and %v is its expiry", b.name, d.MessageID, d.At-rec.acked, limit)
	}
	if s.once != d.Once {
		c.add(Corrupt, d.At, "%s got %s as of another qos than it was published with", b.name, d.MessageID)
	}
	first := rs.seen.set(n)
	if s.once && (!first || d.Retry > 0 || d.Replay || d.Seq > 0) {
		c.add(Repeated, d.At, "%s got %s, which is of qos 0 (again %v, retry %d, replay %v, seq %d)", b.name, d.MessageID, !first, d.Retry, d.Replay, d.Seq)
	}
	switch {
	case first:
	case s.once:
		return
	default:
		r.again(s, n, rec, d)
		return
	}
	had := b.had[s]
	if had == nil {
		had = new(bitmap)
		b.had[s] = had
	}
	if had.set(n) {
		c.handedOver(b, s, rec, d.At)
	} else if b.kind != User {
		c.repeats++
		r.repeated(s, n, rec, d)
	}
	if _, settled := b.settled.at[settledKey{s, n}]; settled && d.Replay {
		return // the mailbox has acked it through another reader: what comes again stands where that ack was not known
	}
	if rec != nil && d.Retry == 0 { // the first try of a timed repeat may have been dropped by the client itself
		r.order(t, rs, s, n, rec, d)
	}
}

// again takes what this reader has had before.
func (r *Reader) again(s *stream, n int, rec *record, d Delivery) {
	if r.once {
		r.box.c.add(Duplicate, d.At, "%s was handed %s twice", r.box.name, d.MessageID)
		return
	}
	r.box.c.repeats++
	r.repeated(s, n, rec, d)
}

// repeated holds a repeat to what is promised of repeats.
func (r *Reader) repeated(s *stream, n int, rec *record, d Delivery) {
	b, c := r.box, r.box.c
	if d.Retry == 0 && !d.Replay {
		if !s.unsaid || rec == nil || !c.trouble.during(AnyTrouble, rec.published, d.At) {
			c.add(Unflagged, d.At, "%s got %s again, with neither retry nor replay", b.name, d.MessageID)
		}
		return
	}
	settled, ok := b.settled.at[settledKey{s, n}]
	if !ok || d.At < settled+settleTime || c.trouble.during(AnyTrouble, settled-time.Second, settled+settleTime) {
		return
	}
	c.add(Stale, d.At, "%s got %s again (retry %d, replay %v) %v after it had acked it", b.name, d.MessageID, d.Retry, d.Replay, d.At-settled)
}

// Settled tells that the reader has acked a message.
func (r *Reader) Settled(messageID string, at time.Duration) {
	c := r.box.c
	c.mu.Lock()
	defer c.mu.Unlock()
	id, ok := c.names.parse(messageID)
	if !ok {
		return
	}
	if s := c.streams[streamKey{id.Session, id.Publisher, id.Topic}]; s != nil {
		r.box.settled.add(settledKey{s, id.N}, at)
	}
}

// Unopened tells that the SDK could not open a message: it is another session's, or another message than it says.
func (r *Reader) Unopened(err error, at time.Duration) {
	c := r.box.c
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(Foreign, at, "%s cannot open what it got: %v", r.box.name, err)
}

// order holds a first delivery to the order of its topic.
func (r *Reader) order(t *reading, rs *readStream, s *stream, n int, rec *record, d Delivery) {
	b, c := r.box, r.box.c
	// A message published after another was acked never overtakes it. Where a node cannot reach Redis, what it published
	// may come late to subscribers of other nodes, and says so by replay.
	if rec.acked > 0 && rec.acked < t.latest && !(d.Replay && c.trouble.during(Backplane, rec.published, d.At)) {
		c.add(Disorder, d.At, "%s got %s (replay %v), acked %v before a message was published that it got earlier", b.name, d.MessageID, d.Replay, t.latest-rec.acked)
	}
	t.latest = max(t.latest, rec.published)

	// A connection's own order. Whether a message went out twice, which changes its place, is known when it is acked.
	last := &rs.live
	if d.Replay {
		last = &rs.replayed
	}
	for _, later := range last.add(n) {
		c.suspect(suspicion{s, n, later, b, d.At, d.Replay})
	}

	// All readers see one order.
	if !d.Replay {
		r.seat.live[s.key.topic]++
		if s.topic.live.add(liveKey{s.key.publisher, n}, r.seat.id, r.seat.live[s.key.topic]) > 0 {
			c.add(Disorder, d.At, "%s got %s live in another order than another subscriber of %s", b.name, d.MessageID, d.Topic)
		}
	}
}
