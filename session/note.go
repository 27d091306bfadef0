package session

import "github.com/fastport/fastport/backplane"

// note takes the store's word on a message, in the channel's order.
func (t *topic) note(n *backplane.Note) {
	if n.Seq != 0 && !t.node.agrees(n.Epoch) {
		t.node.heads.soon() // it speaks of another history than ours: the store knows
		return
	}
	now := t.node.clock()
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.flights[n.MessageID]
	switch {
	case n.Failed || n.Seq == 0:
		if m != nil {
			what := unstored
			if n.Failed {
				what = failed
			}
			delete(t.flights, n.MessageID)
			m.decide(what, 0)
		}
	case m != nil:
		t.decide(m, n.Seq)
	default:
		// A message whose copy never came: only the store has it.
		t.missing(n, now)
	}
	t.order.trim(now, t.lose)
	t.advance(now)
}

// decide records the seq of a message that had arrived. mu is held.
func (t *topic) decide(m *message, seq uint64) {
	delete(t.flights, m.id)
	m.decide(stored, seq)
	if t.durable > 0 && seq > t.contig {
		t.put(seq, m)
	}
}

// put keeps a decided message until all before it are. mu is held.
func (t *topic) put(seq uint64, m *message) {
	if t.ahead == nil {
		t.ahead = map[uint64]*message{}
	}
	t.ahead[seq] = m
	t.known = max(t.known, seq)
}

// missing opens a gap for a message that did not come by. mu is held.
func (t *topic) missing(n *backplane.Note, now int64) {
	seq := n.Seq
	if t.durable == 0 || seq <= t.contig || t.ahead[seq] != nil {
		return
	}
	if t.noted == nil {
		t.noted, t.unseen = map[uint64]uint64{}, map[string]struct{}{}
	}
	if _, again := t.noted[seq]; !again {
		t.noted[seq] = t.arrivals
		t.unseen[n.MessageID] = struct{}{}
	}
	t.learn(seq, now)
	t.holdBack()
}

// holdBack begins to hold live copies back. mu is held.
func (t *topic) holdBack() {
	if t.live > 0 {
		t.holding = true
	}
}

// learn takes in that the topic's head is at least head. mu is held.
func (t *topic) learn(head uint64, now int64) {
	if t.durable == 0 || head <= t.contig {
		return
	}
	t.known = max(t.known, head)
	if t.gapDue == 0 {
		t.gapDue, t.gapTarget = now+gapPatience, t.known
		t.node.alarms.set(&t.alarm, t.gapDue)
	}
}

// advance goes on as far as the numbers are without a gap, and opens or closes one. mu is held.
func (t *topic) advance(now int64) {
	if t.durable == 0 {
		return
	}
	for {
		m := t.ahead[t.contig+1]
		if m == nil {
			break
		}
		delete(t.ahead, t.contig+1)
		t.contig++
		t.step(m, t.contig, now)
	}
	if t.known <= t.contig {
		t.noted, t.unseen = nil, nil
	}
	switch {
	case t.known > t.contig && len(t.ahead) > 0:
		t.learn(t.known, now)
		t.holdBack()
	case t.known <= t.contig:
		if !t.repairing {
			t.gapDue = 0
		}
		if t.holding {
			t.letGo(now)
		}
	}
	t.hurry(now)
}

// step hands the message that is next by seq to who follows, and to who is live if it never came by. mu is held.
func (t *topic) step(m *message, seq uint64, now int64) {
	if (m.place == 0 || m.skipped) && t.live > 0 && (m.skipped || !t.fitIn(m, seq)) {
		for _, f := range t.feeds {
			if f.mode != live || f.sub == nil || f.own(m) || f.sub.has(seq) || m.skipped && f.conn.holds(m) {
				continue
			}
			if !f.conn.deliver(f, m, true, now) {
				f.lag(min(t.sure(), seq-1), t.unsent())
			}
		}
	}
	for _, f := range t.laggards {
		if f.mode != following || seq <= f.after {
			continue
		}
		had := m.place != 0 && m.place < f.sentTo || f.own(m) || f.sub.has(seq)
		if !had && !f.conn.deliver(f, m, true, now) {
			f.lag(seq-1, 0)
			continue
		}
		f.after = seq
	}
}

// hurry turns those live that nothing holds back. mu is held.
func (t *topic) hurry(now int64) {
	for i := 0; i < len(t.laggards); {
		f := t.laggards[i]
		if f.tryLive(now); i < len(t.laggards) && t.laggards[i] == f {
			i++
		}
	}
}
