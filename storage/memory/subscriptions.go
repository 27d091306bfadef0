package memory

import (
	"context"

	"github.com/fastport/fastport/storage"
)

// Subscribe implements storage.Subscriptions.
func (s *Store) Subscribe(_ context.Context, sub storage.Subscriber, at storage.Topic, attach bool) (storage.Subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss, err := s.live(at.Session)
	if err != nil {
		return storage.Subscription{}, err
	}
	if sub == "" {
		return storage.Subscription{}, storage.ErrInvalid // nobody cannot be owed anything
	}
	t := ss.topics[at.Name]
	if t != nil {
		if own := t.subscriptions[sub]; own != nil {
			own.seen = s.now()
			if attach {
				own.attach++
			}
			return s.view(sub, ss, t), nil
		}
	}
	if q := s.options.DurableSubscribers; q > 0 && ss.subscriptions >= q {
		return storage.Subscription{}, storage.ErrQuota
	}
	if t == nil {
		if q := s.options.Topics; q > 0 && len(ss.topics) >= q {
			return storage.Subscription{}, storage.ErrQuota
		}
		t = &topic{name: at.Name, ids: map[messageKey]id{}, wakes: map[uint64]*wake{}, subscriptions: map[storage.Subscriber]*subscription{}}
		ss.topics[at.Name] = t
	}
	ss.subscriptions++
	t.subscriptions[sub] = &subscription{attach: 1, settled: storage.Span(1, t.head), seen: s.now()}
	return s.view(sub, ss, t), nil
}

// Unsubscribe implements storage.Subscriptions.
func (s *Store) Unsubscribe(_ context.Context, sub storage.Subscriber, at storage.Topic) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.topic(at); t != nil && t.subscriptions[sub] != nil {
		s.sessions[at.Session].unsubscribe(sub, t)
	}
	return nil
}

// unsubscribe forgets one. The topic stays, because its head must never fall; one that never had a message need not.
func (ss *session) unsubscribe(sub storage.Subscriber, t *topic) {
	delete(t.subscriptions, sub)
	ss.subscriptions--
	if len(t.subscriptions) == 0 && t.head == 0 {
		delete(ss.topics, t.name)
	}
}

// Attach implements storage.Subscriptions.
func (s *Store) Attach(_ context.Context, id string, sub storage.Subscriber, bump bool) ([]storage.Subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := s.sessions[id]
	if ss == nil {
		return nil, nil
	}
	var out []storage.Subscription
	for _, name := range sortedKeys(ss.topics) {
		t := ss.topics[name]
		own := t.subscriptions[sub]
		if own == nil {
			continue
		}
		own.seen = s.now()
		if bump {
			own.attach++
		}
		out = append(out, s.view(sub, ss, t))
	}
	return out, nil
}

// Settle implements storage.Subscriptions.
func (s *Store) Settle(_ context.Context, batch []storage.Settlement) ([]storage.Subscription, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]storage.Subscription, len(batch))
	for i, b := range batch {
		t := s.topic(b.Topic)
		if t == nil || t.subscriptions[b.Subscriber] == nil {
			out[i] = storage.Subscription{Subscriber: b.Subscriber, Topic: b.Topic, Epoch: s.epoch}
			continue
		}
		own := t.subscriptions[b.Subscriber]
		var done storage.Ranges
		if b.Epoch == "" || b.Epoch == s.epoch {
			done = b.Acked
			if b.Attach == own.attach {
				done = done.Union(b.GivenUp)
			}
		}
		own.settled = own.settled.Union(done.Intersect(storage.Span(1, t.head)))
		out[i] = s.view(b.Subscriber, s.sessions[b.Topic.Session], t)
	}
	return out, nil
}

// Seen implements storage.Subscriptions.
func (s *Store) Seen(_ context.Context, id string, subs []storage.Subscriber) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := s.sessions[id]
	if ss == nil {
		return nil
	}
	for _, t := range ss.topics {
		for _, sub := range subs {
			if own := t.subscriptions[sub]; own != nil {
				own.seen = s.now()
			}
		}
	}
	return nil
}
