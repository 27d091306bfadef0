package verify

import "time"

// Kind is what a subscriber is promised.
type Kind int

const (
	// Durable subscribers, with a clientId, get everything that is acked after they subscribed.
	Durable Kind = iota
	// User subscribers are one to the server, by their userId, over several connections.
	User
	// Ephemeral subscribers get what comes while they are there.
	Ephemeral
)

// Mailbox is one subscriber as the server knows it: what is owed is owed to it. Applications read it through Readers.
type Mailbox struct {
	c       *Checker
	name    string
	session int
	kind    Kind
	away    bool // it goes and comes, so that its latencies say nothing

	// Guarded by the Checker's mu.
	since   map[int]time.Duration // by topic: when the server had confirmed the subscription
	had     map[*stream]*bitmap
	settled settledRing
	seats   []*seat
	visits  []visit // of one that tells when it is Gone
	stays   map[int]int
}

// visit is a time in which a subscriber was connected, and subscribed to a topic.
type visit struct {
	topic    int
	from, to time.Duration
}

// NewMailbox makes known a subscriber of a session. away says that it will go and come.
func (c *Checker) NewMailbox(name string, session int, kind Kind, away bool) *Mailbox {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := &Mailbox{
		c: c, name: name, session: session, kind: kind, away: away,
		since: make(map[int]time.Duration), had: make(map[*stream]*bitmap), stays: make(map[int]int),
		settled: settledRing{at: make(map[settledKey]time.Duration)},
	}
	c.boxes = append(c.boxes, b)
	return b
}

// Subscribing tells that a topic's messages may come from now on.
func (b *Mailbox) Subscribing(topic int) {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	t := b.c.topic(b.session, topic)
	for _, known := range t.boxes {
		if known == b {
			return
		}
	}
	t.boxes = append(t.boxes, b)
}

// Subscribed tells that the server has confirmed a subscription, or that a subscriber is back.
func (b *Mailbox) Subscribed(topic int, at time.Duration) {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	if _, ok := b.since[topic]; !ok {
		b.since[topic] = at
	}
	b.leave(topic, at)
	b.stays[topic] = len(b.visits)
	b.visits = append(b.visits, visit{topic, at, forever})
}

// Gone tells that a subscriber's connection is lost.
func (b *Mailbox) Gone(at time.Duration) {
	b.c.mu.Lock()
	defer b.c.mu.Unlock()
	for topic := range b.stays {
		b.leave(topic, at)
	}
}

func (b *Mailbox) leave(topic int, at time.Duration) {
	if i, ok := b.stays[topic]; ok {
		b.visits[i].to = at
		delete(b.stays, topic)
	}
}

// owed reports whether a message that was acked at that time is owed to a durable subscriber.
func (b *Mailbox) owed(s *stream, acked time.Duration) bool {
	since, ok := b.since[s.key.topic]
	return ok && b.kind != Ephemeral && since <= acked && s.own != b && !s.once && b.c.expiry(b.session) == 0
}

// present reports whether a subscriber was there when the message was published and for a while after it was acked.
func (b *Mailbox) present(topic int, r *record) bool {
	for i := len(b.visits) - 1; i >= 0; i-- {
		v := b.visits[i]
		if v.topic == topic && v.from+settleTime <= r.published && (v.to == forever || v.to >= r.acked+settleTime) {
			return true
		}
	}
	return false
}

func (b *Mailbox) has(s *stream, n int) bool {
	had := b.had[s]
	return had != nil && had.has(n)
}

// settledRing knows when a mailbox's last messages were acked by it.
type settledRing struct {
	at   map[settledKey]time.Duration
	ring []settledKey
	next int
}

type settledKey struct {
	s *stream
	n int
}

// maxSettled is how many messages back a second delivery is judged by the time of its ack.
const maxSettled = 8192

func (r *settledRing) add(k settledKey, at time.Duration) {
	if _, ok := r.at[k]; ok {
		return
	}
	r.at[k] = at
	if len(r.ring) < maxSettled {
		r.ring = append(r.ring, k)
		return
	}
	delete(r.at, r.ring[r.next])
	r.ring[r.next] = k
	r.next = (r.next + 1) % maxSettled
}
