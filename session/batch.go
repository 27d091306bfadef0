package session

// batchMost is how many publishes of one read are started together.
const batchMost = 64

// batch is what a connection has published in one read, and not started yet: publishes that come together share the
// locks and wake-ups on their way to the backplane, to the store and to their subscribers.
type batch struct {
	list [batchMost]*publish
	n    int
}

// add reports whether the batch is full.
func (b *batch) add(p *publish) (full bool) {
	b.list[b.n] = p
	b.n++
	return b.n == batchMost
}

// startBatch starts what has been published. Called by the frame loop.
func (c *Conn) startBatch() {
	b := c.batch
	if b == nil {
		return
	}
	c.batch = nil
	start(b.list[:b.n])
	clear(b.list[:b.n])
	b.n = 0
	c.node.batches.Put(b)
}

// start sends publishes of one publisher on their way, in their order. They have been accepted.
func start(list []*publish) {
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].topic == list[0].topic {
			n++
		}
		list[0].topic.start(list[:n])
		list = list[n:]
	}
}

// start puts publishes among the topic's undecided ones and announces them, but for those that must be appended first.
func (t *topic) start(run []*publish) {
	t.enlist(run)
	k := t.committer()
	k.reserve(run)
	var sent [batchMost]*publish
	n := 0
	for _, p := range run {
		if p.copy.QoS > 0 {
			p.place()
		}
		switch {
		case p.refusal:
			p.ordered()
			p.forget()
			p.refuse(errQueueFull)
		case !p.first:
			p.released = true // nobody else knows it yet
			sent[n] = p
			n++
		}
	}
	down := t.node.down.Load() // once: who promises another must send it
	for i, p := range sent[:n] {
		p.send(down, i < n-1)
	}
	k.add(run)
}

// enlist puts publishes that are to be stored among the topic's undecided ones.
func (t *topic) enlist(run []*publish) {
	t.publishing.Lock()
	defer t.publishing.Unlock()
	for _, p := range run {
		if p.copy.QoS == 0 {
			continue
		}
		if t.pending == nil {
			t.pending = map[string]*publish{}
		}
		_, p.again = t.pending[p.copy.MessageID]
		t.pending[p.copy.MessageID] = p
	}
}

// place decides whether the publish must be appended before it is announced: it may be there already, or follow one of
// its connection's that may.
func (p *publish) place() {
	t := p.topic
	// What waited here while the node stood still its client may have sent through another one since. In no hurry: the
	// store is as slow to come back as everything else.
	late := p.conn != nil && t.node.pulse.stoodStill(p.started)
	must, maybe, behind, wary := p.retry || p.again || late, p.aged || !t.node.leased(p.started), false, true
	if p.conn != nil {
		maybe = maybe || p.conn.mayResend()
		behind, wary = p.conn.appendsFirst(t)
	}
	p.first = must || maybe || behind
	p.wary = p.first && wary && !must
	p.copy.Retry = p.retry || p.again || p.aged // somebody may have it, and have it in another place
	if p.first && p.conn != nil {
		p.conn.appendFirst(before{t, p.wary})
	}
}
