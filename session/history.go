package session

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/fastport/fastport/storage"
)

// observe takes in which history a store's answer is of. When it is another one than before, what was acked may be
// gone, and every position is read again.
func (n *Node) observe(epoch string) {
	n.mu.RLock()
	same := epoch == n.epoch
	n.mu.RUnlock()
	if same || epoch == "" {
		return
	}
	n.mu.Lock()
	was := n.epoch
	if epoch == was || n.past[epoch] {
		n.mu.Unlock()
		return // a late answer of a history that is over
	}
	n.epoch = epoch
	if was != "" {
		n.past[was] = true
	}
	n.mu.Unlock()
	if was == "" {
		return
	}
	n.log.Error("the store's history changed: every position is read again", slog.String("was", was), slog.String("is", epoch))
	for _, t := range n.allTenants() {
		t.forgetPositions()
	}
	for _, t := range n.durableTopics() {
		n.rewind(t)
	}
}

// forgetPositions drops what is known of subscriptions without a feed here, and settled ranges on their way: their
// numbers are another history's. Those with a feed are read again.
func (t *tenant) forgetPositions() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.subscribers {
		for _, sub := range s.subs {
			sub.restart(storage.Subscription{Attach: sub.attached()})
		}
		s.forget(func(sub *subscription) bool { return sub.refs == 0 })
	}
}

// agrees reports whether an epoch is the one that this node's positions are of.
func (n *Node) agrees(epoch string) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return epoch == "" || n.epoch == "" || epoch == n.epoch
}

// rewind reads a topic's positions again in the background.
func (n *Node) rewind(t *topic) {
	t.mu.Lock()
	busy := t.rewinding
	t.rewinding = true
	t.mu.Unlock()
	if !busy {
		n.beginRewind(t)
	}
}

// rewindTo is rewind for a subscription whose row turned out to be of the history that is now, unless one that is done
// has read it since.
func (n *Node) rewindTo(t *topic, s *subscription, row storage.Subscription) {
	t.mu.Lock()
	if s.union(row) {
		t.mu.Unlock()
		return
	}
	s.restart(row)
	busy := t.rewinding
	t.rewinding = true
	t.mu.Unlock()
	if !busy {
		n.beginRewind(t)
	}
}

// beginRewind is for who set the topic's rewinding.
func (n *Node) beginRewind(t *topic) {
	n.figures.rewinds.Add(1)
	if !n.begin(t.rewind) {
		t.mu.Lock()
		t.rewinding = false
		t.mu.Unlock()
	}
}

// rewind stops the topic's durable feeds, forgets what they had, and starts them where their rows say.
func (t *topic) rewind(ctx context.Context) {
	t.mu.Lock()
	var feeds []*feed
	t.release()
	t.restart(0)
	for _, f := range t.feeds {
		if f.sub == nil || f.mode == waiting {
			continue
		}
		f.lag(0, 0)
		f.mode = waiting
		feeds = append(feeds, f)
	}
	t.mu.Unlock()

	rows := map[storage.Subscriber]storage.Subscription{}
	for _, f := range feeds {
		key := f.sub.subscriber.key
		if _, done := rows[key]; !done {
			rows[key] = t.row(ctx, key)
		}
	}
	t.mu.Lock()
	t.rewinding = false
	for i, f := range feeds {
		row := rows[f.sub.subscriber.key]
		if i == 0 {
			t.restart(row.Head)
		}
		if f.mode == waiting {
			f.conn.forget(f) // before: an ack of what is out must not settle a number of the new history
			f.sub.restart(row)
			f.mode, f.after, f.sentTo = reading, f.sub.skip(0), 0
			t.node.readers.add(f)
		}
	}
	t.mu.Unlock()
}

// row reads a subscription until the store answers.
func (t *topic) row(ctx context.Context, key storage.Subscriber) storage.Subscription {
	for {
		call, cancel := context.WithTimeout(ctx, readTimeout)
		rows, err := t.node.store.Attach(call, t.tenant.id, key, false)
		cancel()
		if err == nil {
			if i := slices.IndexFunc(rows, func(r storage.Subscription) bool { return r.Topic.Name == t.name }); i >= 0 {
				return rows[i]
			}
			return storage.Subscription{}
		}
		select {
		case <-time.After(time.Duration(readAgain)):
		case <-ctx.Done():
			return storage.Subscription{}
		}
	}
}

// restart forgets everything but what the row says. A row of no known history leaves the old one's name: what is
// settled until the row is read is of that.
func (s *subscription) restart(row storage.Subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled, s.acked, s.givenUp = row.Settled, nil, nil
	s.attach = row.Attach
	if row.Epoch != "" {
		s.epoch = row.Epoch
	}
}

// forget drops what is out on a feed: it comes again from the store. topic.mu is held.
func (c *Conn) forget(f *feed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.window.keep(func(o *out) bool { return o.f != f })
}
