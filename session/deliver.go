package session

import (
	"slices"
	"time"

	"github.com/fastport/fastport/backplane"
)

// copies delivers live copies to the node's subscribers, in the channel's order. Those that need nothing but to be sent
// are sent to each subscriber together: what is dear about a delivery is to get at the subscriber.
func (t *topic) copies(cs []*backplane.Copy) {
	at := time.Now()
	now := t.node.at(at)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(cs) == 1 {
		if m := t.arrive(cs[0], at, now); m != nil {
			t.passAll(m, now)
		}
		return
	}
	t.run = t.node.runs.Get().(*run)
	for _, c := range cs {
		if m := t.arrive(c, at, now); m != nil && t.run.add(m) {
			t.passRun(now)
		}
	}
	t.passRun(now)
	t.node.runs.Put(t.run)
	t.run = nil
}

// arrive takes a copy in. It gives what every live feed is to be sent next; what goes other ways has gone them, behind
// what was to be sent before. mu is held.
func (t *topic) arrive(c *backplane.Copy, at time.Time, now int64) *message {
	n := t.node
	age := at.Sub(c.Issued)
	if !c.Issued.IsZero() && age > copyStale {
		n.figures.late.Add(1)
		t.traceCopy(c, StepLate)
		t.seen.add(c.MessageID, seenLate, now)
		return nil
	}
	m := newMessage(t, c, now)
	if m.timed.Store(c.Issued.IsZero()); !c.Issued.IsZero() {
		m.issued = now - int64(age)
		m.expires -= max(int64(age), 0) // it may have waited on its way
	}
	before := t.seen.add(m.id, seenCopy, now)
	if before&seenCopy != 0 {
		n.figures.duplicates.Add(1)
		t.traceCopy(c, StepDuplicate)
		return nil
	}
	t.traceCopy(c, StepArrived)
	_, noted := t.unseen[m.id]
	if (noted || before&seenLate != 0) && !c.Retry {
		// It was sent through two nodes. Behind what has come since, it would break the order: durable subscribers get it
		// from the store, in its place, and the others as a repeat.
		if m.flagged = true; m.qos > 0 {
			t.passRun(now)
			t.passEphemeral(m, now)
		}
		return nil
	}
	if noted || before&seenRow != 0 {
		// Its durable subscribers have it from the store, or will, in its place: the copy is late.
		t.passRun(now)
		t.passEphemeral(m, now)
		return nil
	}
	t.arrivals++
	m.place = t.arrivals
	if m.qos > 0 {
		t.takeOff(m, now)
	}
	if !t.holding {
		return m
	}
	t.passEphemeral(m, now) // while copies are held no run gathers
	t.hold(m, now)
	return nil
}

// takeOff notes a copy as undecided. mu is held.
func (t *topic) takeOff(m *message, now int64) {
	t.order.trim(now, t.lose)
	if t.flights == nil {
		t.flights = map[string]*message{}
	}
	t.flights[m.id] = m
	t.order.push(m)
}

// lose gives up a copy whose publisher is gone. mu is held.
func (t *topic) lose(m *message) {
	delete(t.flights, m.id)
	m.decide(failed, 0)
}

// passAll sends m to every live feed. mu is held.
func (t *topic) passAll(m *message, now int64) {
	for _, f := range t.feeds {
		if f.mode == live {
			f.pass(m, now)
		}
	}
}

func (t *topic) passEphemeral(m *message, now int64) {
	for _, f := range t.feeds {
		if f.mode == live && f.sub == nil {
			f.pass(m, now)
		}
	}
}

func (t *topic) passDurable(m *message, now int64) {
	for _, f := range t.feeds {
		if f.mode == live && f.sub != nil && !m.settledBy(f.sub) {
			f.pass(m, now)
		}
	}
}

// hold keeps a copy back from durable subscribers until the gap before it is closed. Overflow sends them to the
// store. mu is held.
func (t *topic) hold(m *message, now int64) {
	if t.live == 0 {
		return
	}
	t.held = append(t.held, m)
	t.heldBytes += len(m.data)
	t.boundHeld()
}

// fitIn keeps back a message that was read from the store, if copies that are held stand before it: it may have been
// published after they were acked. It stands behind all that are before it by seq, and behind what has none, being of
// qos 0; but before what came after its note, which may have been published after its ack. A repeat's note, which comes
// late, says no more than that; and who lost the note as well may come late. False: none stands before it. mu is held.
func (t *topic) fitIn(m *message, seq uint64) bool {
	place := 0
	noted, heard := t.noted[seq]
	for i, h := range t.held {
		if heard && h.place > noted {
			break
		}
		if at := h.seq.Load(); at != 0 && at < seq || h.qos == 0 {
			place = i + 1
		}
	}
	if place == 0 {
		return false
	}
	t.held = slices.Insert(t.held, place, m)
	t.heldBytes += len(m.data)
	t.boundHeld()
	return true
}

// boundHeld turns live durable feeds to the store where too much is held. mu is held.
func (t *topic) boundHeld() {
	if len(t.held) <= heldMost && t.heldBytes <= heldBytes {
		return
	}
	sure, first := t.sure(), t.unsent()
	t.release()
	for _, f := range t.feeds {
		if f.mode == live && f.sub != nil {
			f.lag(sure, first)
			t.node.readers.add(f)
		}
	}
}

// unsent is the place of the first copy that live durable feeds did not get. mu is held.
func (t *topic) unsent() uint64 {
	for _, m := range t.held {
		if m.place != 0 {
			return m.place
		}
	}
	return t.arrivals + 1
}

// sure is the seq up to which every live durable feed has had all: contig, but for what is held. mu is held.
func (t *topic) sure() uint64 {
	sure := t.contig
	for _, m := range t.held {
		if seq := m.seq.Load(); seq != 0 {
			sure = min(sure, seq-1)
		}
	}
	return sure
}

// release forgets what was held. mu is held.
func (t *topic) release() {
	t.holding, t.held, t.heldBytes = false, nil, 0
}

// letGo sends what was held, in the order of arrival. mu is held.
func (t *topic) letGo(now int64) {
	t.holding = false
	for len(t.held) > 0 {
		t.passDurable(t.held[0], now)
		t.held = t.held[1:]
	}
	t.release()
}
