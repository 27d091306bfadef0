package memory

import (
	"context"
	"time"

	"github.com/fastport/fastport/storage"
)

// Sweep implements storage.Keeper. Nothing here needs to come in bites: it looks at everything, every time.
func (s *Store) Sweep(context.Context) (storage.Swept, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var swept storage.Swept
	now := s.now()
	for _, ss := range s.sessions {
		if expired(ss.ExpiresAt, now) {
			s.drop(ss)
			swept.Sessions = append(swept.Sessions, ss.Session)
			continue
		}
		for _, t := range ss.topics {
			swept.Subscriptions += ss.sweepSubscriptions(t, now)
			ss.sweepMessages(t, now, &swept)
			swept.IDs += t.sweepIDs(now.Add(-s.options.DedupeWindow))
		}
	}
	for key, l := range s.logins {
		if expired(l.CreatedAt.Add(storage.LoginKept), now) {
			delete(s.logins, key)
			swept.Logins++
		}
	}
	return swept, nil
}

func (ss *session) sweepSubscriptions(t *topic, now time.Time) (n int) {
	for sub, own := range t.subscriptions {
		if ss.SubscriptionExpiry > 0 && expired(own.seen.Add(ss.SubscriptionExpiry), now) {
			ss.unsubscribe(sub, t)
			n++
		}
	}
	return n
}

// sweepMessages keeps what is owed to somebody and not expired.
func (ss *session) sweepMessages(t *topic, now time.Time, swept *storage.Swept) {
	if len(t.messages) == 0 {
		return
	}
	settled := storage.Span(1, t.head)
	for _, own := range t.subscriptions {
		settled = settled.Intersect(own.settled)
	}
	kept := t.messages[:0]
	for _, m := range t.messages {
		switch {
		case settled.Contains(m.Seq):
			swept.Settled++
		case expired(m.ExpiresAt, now):
			swept.Expired++
		default:
			kept = append(kept, m)
			continue
		}
		ss.bytes -= int64(len(m.Data))
		delete(t.wakes, m.Seq)
	}
	clear(t.messages[len(kept):]) // let go of the bodies
	t.messages = kept
}

// sweepIDs forgets the ids of messages stored at end or before.
func (t *topic) sweepIDs(end time.Time) (n int) {
	for len(t.idOrder) > 0 && !t.idOrder[0].at.After(end) {
		due := t.idOrder[0]
		t.idOrder = t.idOrder[1:]
		if t.ids[due.key].at.Equal(due.at) { // else it was used again after its window
			delete(t.ids, due.key)
			n++
		}
	}
	return n
}
