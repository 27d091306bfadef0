package session

import "context"

// Link throws the node's switch: down, its subscribers are served from the store alone; up again, every topic joins
// its channel again and reads what was lost between.
func (n *Node) Link(up bool) {
	if n.down.Swap(!up) == !up {
		return
	}
	n.log.Warn("the backplane's subscribing side changed", "up", up)
	if !up {
		n.figures.severed.Add(1)
		for _, t := range n.allTenants() {
			for _, tp := range t.all() {
				tp.sever()
			}
		}
		n.heads.soon()
		return
	}
	n.review() // nor did words of clients that were taken over get here
	n.begin(n.rejoin)
}

// Linked reports whether live copies reach this node: the backplane's subscribing side is up.
func (n *Node) Linked() bool { return !n.down.Load() }

// rejoinBatch is how many topics are joined again before the first of them must be.
const rejoinBatch = 256

// rejoin attaches every topic again, some at a time.
func (n *Node) rejoin(ctx context.Context) {
	room := make(chan struct{}, rejoinBatch)
	for _, t := range n.allTenants() {
		for _, tp := range t.all() {
			select {
			case room <- struct{}{}:
			case <-ctx.Done():
				return
			}
			tp.rejoin(func() { <-room })
		}
	}
	n.heads.soon()
}

// sever turns the topic to the store: whoever was live follows what is known to be committed.
func (t *topic) sever() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.synced = false
	if t.route == joined {
		t.route = apart
	}
	sure, unsent := t.sure(), t.unsent()
	t.release()
	for _, f := range t.feeds {
		if f.mode == live && f.sub != nil {
			f.lag(sure, unsent)
			if sure < t.contig {
				t.node.readers.add(f) // some of what was held is behind already
			} else {
				f.follow()
			}
		}
	}
}

// rejoin joins the topic's channel again and repairs what was missed.
func (t *topic) rejoin(done func()) {
	t.mu.Lock()
	empty := len(t.feeds) == 0
	if t.route == joined {
		t.route = apart
	}
	t.mu.Unlock()
	if empty {
		done()
		return
	}
	t.fence(func(err error) {
		defer done()
		if err != nil {
			return // Link will tell again
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.durable > 0 {
			t.repairNow()
		}
	})
}

// isDurable reports whether a durable subscriber is connected here.
func (t *topic) isDurable() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.durable > 0
}
