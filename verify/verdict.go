package verify

import "time"

// suspicion is that later overtook n, two messages of one stream, at a mailbox. It holds if each went out once only.
type suspicion struct {
	s        *stream
	n, later int
	box      *Mailbox
	at       time.Duration
	replayed bool
}

// maxSuspects bounds what waits for its acks. What is beyond it is judged at once, and found innocent where it is not known.
const maxSuspects = 16384

func (c *Checker) suspect(p suspicion) {
	if len(c.suspects) < maxSuspects && !c.judge(p, false) {
		c.suspects = append(c.suspects, p)
	}
}

// judge decides a suspicion. False: it cannot be decided yet; at the end it always can.
func (c *Checker) judge(p suspicion, end bool) bool {
	first, later := p.s.record(p.n), p.s.record(p.later)
	if first == nil || later == nil {
		return true
	}
	if (first.acked == 0 || later.acked == 0) && !first.failed && !later.failed && !end {
		return false
	}
	if first.tries == 1 && later.tries == 1 {
		id := ID{p.s.key.session, p.s.key.publisher, p.s.key.topic, p.n}
		c.add(Disorder, p.at, "%s got %s (seq %d, published at %v, acked at %v) after number %d of the same publisher (seq %d, published at %v), replay %v",
			p.box.name, c.names.messageID(id), first.seq, first.published, first.acked, p.later, later.seq, later.published, p.replayed)
	}
	return true
}

// Tick decides what can be decided and gives up what is over. It is to be called about once a second.
func (c *Checker) Tick(at time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest := c.suspects[:0]
	for _, p := range c.suspects {
		if !c.judge(p, false) {
			rest = append(rest, p)
		}
	}
	c.suspects = rest
	for _, s := range c.streams {
		s.retire(at-retireAfter, func(n int, r *record) { c.missed(s, n, r) })
	}
}

// retireAfter is how long a message that is over is still known in detail.
const retireAfter = 2 * time.Minute

// missed looks for the connected subscribers that a message should have come to, though it is not owed to them.
func (c *Checker) missed(s *stream, n int, r *record) {
	if r.acked == 0 || c.trouble.during(AnyTrouble, r.published-aftermath, r.acked+settleTime) {
		return
	}
	for _, b := range s.topic.boxes {
		if (b.kind == Ephemeral || s.once && !b.away) && s.own != b && !b.has(s, n) && b.present(s.key.topic, r) {
			c.add(Missed, r.acked, "%s, connected all the time, never got %s, acked at %v", b.name, c.name(s, n), r.acked)
		}
	}
}

// Finish judges what is left at the end: what was not answered, and what is owed and never came.
func (c *Checker) Finish(at time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.suspects {
		c.judge(p, true)
	}
	c.suspects = nil
	for _, s := range c.streams {
		s.each(func(n int, r *record) {
			switch {
			case r.acked > 0:
				c.lost(s, n, r, at)
				c.missed(s, n, r)
			case s.once && c.trouble.during(AnyTrouble, r.published, r.published+settleTime):
				r.failed = true
			case !r.failed:
				r.failed = true
				if !s.once {
					c.failed++
				}
				c.add(Unanswered, at, "%s, published at %v, was neither acked nor refused", c.name(s, n), r.published)
			}
		})
	}
}

func (c *Checker) lost(s *stream, n int, r *record, at time.Duration) {
	for _, b := range s.topic.boxes {
		if b.owed(s, r.acked) && !b.has(s, n) {
			c.add(Lost, at, "%s never got %s (seq %d), published at %v, acked at %v", b.name, c.name(s, n), r.seq, r.published, r.acked)
		}
	}
}

// Outstanding is how many hand-overs are owed of what was acked, and how many publishes are not answered.
func (c *Checker) Outstanding() (deliveries, acks int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outstanding, int(c.published - c.acked - c.failed)
}

func (c *Checker) name(s *stream, n int) string {
	return c.names.messageID(ID{s.key.session, s.key.publisher, s.key.topic, n})
}
