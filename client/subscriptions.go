package client

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// subscription is one topic's. Its messages wait here for the handler, for one that is still to come too: a durable
// subscriber's come as soon as it has logged in.
type subscription struct {
	all    *subscriptions
	topic  string
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{}

	// Guarded by subscriptions.
	handler Handler
	files   *fileHandler
	queue   []*delivery
	working bool
}

// delivery is a message that came, still sealed.
type delivery struct {
	Message
	data []byte
	hash string
	ms   int64
}

// subscriptions are all topics' of a client.
type subscriptions struct {
	c      *Client
	seen   *dedupe
	replay *e2ee.ReplayGuard

	mu     sync.Mutex // guards the following
	topics map[string]*subscription
	kept   []string // topics that the server held for this durable subscriber
	count  int      // in hand
	bytes  int
	done   bool
	active sync.WaitGroup // handlers at work
}

func newSubscriptions(c *Client) *subscriptions {
	return &subscriptions{
		c: c, seen: newDedupe(c.o.DedupeSize), replay: e2ee.NewReplayGuard(), topics: make(map[string]*subscription),
	}
}

func (s *subscriptions) claim(topic string, set func(*subscription) bool) (*subscription, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := s.get(topic)
	return sub, set(sub)
}

// get finds or makes a topic's subscription.
func (s *subscriptions) get(topic string) *subscription {
	sub := s.topics[topic]
	if sub == nil {
		sub = &subscription{all: s, topic: topic, wake: make(chan struct{}, 1)}
		sub.ctx, sub.cancel = context.WithCancel(s.c.ctx)
		s.topics[topic] = sub
	}
	return sub
}

// release takes a use back that never became real. True: it was the last.
func (s *subscriptions) release(sub *subscription, unset func(*subscription)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	unset(sub)
	if sub.handler != nil || sub.files != nil || s.topics[sub.topic] != sub {
		return false
	}
	s.removeLocked(sub)
	return true
}

func (s *subscriptions) remove(topic string) {
	s.mu.Lock()
	sub := s.topics[topic]
	if sub != nil {
		s.removeLocked(sub)
	}
	s.kept = slices.DeleteFunc(s.kept, func(t string) bool { return t == topic })
	s.mu.Unlock()
	s.c.receiving.abortTopic(topic)
}

func (s *subscriptions) removeLocked(sub *subscription) {
	sub.cancel()
	delete(s.topics, sub.topic)
	for _, d := range sub.queue {
		s.count--
		s.bytes -= len(d.data)
		s.seen.finish(d.key(), false)
	}
	sub.queue = nil
}

// held notes what the server keeps for this subscriber.
func (s *subscriptions) held(l login) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = l.topics
}

// again lists the topics to subscribe again with a new connection.
func (s *subscriptions) again(l login) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var topics []string
	for topic, sub := range s.topics {
		if (sub.handler != nil || sub.files != nil) && !(l.resumed && l.holds(topic)) {
			topics = append(topics, topic)
		}
	}
	slices.Sort(topics)
	return topics
}

// refusedAgain tells that a topic could not be subscribed again. It stays: for a moment later where that may help, else
// for the next connection.
func (s *subscriptions) refusedAgain(topic string, err *protocol.Error) {
	s.c.fault(&SubscriptionError{Topic: topic, Err: err})
	if !err.Code.Retryable() {
		return
	}
	time.AfterFunc(time.Second+jitter(s.c.o.BackoffMax/4), func() {
		s.mu.Lock()
		wanted := s.topics[topic] != nil
		s.mu.Unlock()
		if wanted {
			q := subscribeRequest(topic)
			q.again = true
			s.c.requests.add(q) // fails only for a client that has ended
		}
	})
}

// fileHandler is what takes the topic's files, or nil.
func (s *subscriptions) fileHandler(topic string) *fileHandler {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sub := s.topics[topic]; sub != nil {
		return sub.files
	}
	return nil
}

// deliver takes a message frame.
func (s *subscriptions) deliver(f *protocol.ServerFrame) {
	key := pubKey{string(f.Topic), string(f.MessageID)}
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := s.topics[key.topic]
	if sub == nil && slices.Contains(s.kept, key.topic) {
		sub = s.get(key.topic)
	}
	if sub == nil || s.done || s.count > 0 && (s.count >= maxInHand || s.bytes+len(f.Data) > maxInHandBytes) {
		return
	}
	verdict := acked
	if !s.c.own.has(key) {
		verdict = s.seen.begin(key)
	}
	switch verdict {
	case inHand:
		return
	case acked:
		if f.QoS > 0 {
			s.c.ack(key)
		}
		return
	}
	d := &delivery{
		Message: Message{
			Topic: key.topic, ID: key.id, Timestamp: time.UnixMilli(f.Timestamp), Seq: f.Seq, Retry: f.Retry,
			Replay: f.Replay, QoS: int(f.QoS), Legacy: !e2ee.IsSuite2(f.Data),
		},
		data: slices.Clone(f.Data), hash: string(f.Hash), ms: f.Timestamp,
	}
	s.count++
	s.bytes += len(d.data)
	sub.queue = append(sub.queue, d)
	select {
	case sub.wake <- struct{}{}:
	default:
	}
}

// knows reports whether a message was handed over, or is about to be.
func (s *subscriptions) knows(f *protocol.ServerFrame) bool {
	return s.seen.knows(pubKey{string(f.Topic), string(f.MessageID)})
}

// stop lets no further call of a handler begin, and waits for those at work until ctx ends.
func (s *subscriptions) stop(ctx context.Context) {
	s.mu.Lock()
	s.done = true
	s.mu.Unlock()
	idle := make(chan struct{})
	go func() { // ends with the handlers
		s.active.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}
