package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// What is in hand over all topics, at most. A message beyond it is left unacked: the server sends it again.
const (
	maxInHand      = 16 * protocol.MaxInFlight
	maxInHandBytes = 64 << 20
)

// Message is an opened message.
type Message struct {
	Topic     string
	ID        string
	Payload   []byte // the handler's to keep
	Timestamp time.Time
	Seq       uint64 // position in the topic; 0 where the server did not tell
	Retry     int    // how many times the server has sent it before, as far as this delivery tells
	Replay    bool   // read back from the store
	QoS       int    // 1, or 0: at most once
	Legacy    bool   // suite 1: nothing proves sender, topic or time
}

// Handler takes the messages of one topic, one at a time, in order. Nil acks the message. An error leaves it
// unacked: the server sends it again. ctx ends when the client or the subscription does.
type Handler func(ctx context.Context, m Message) error

// Subscribe returns once the server has confirmed: from then on every message that is acked to its publisher reaches
// the handler. The subscription is made again with each new connection, until Unsubscribe or Close. Without a connection it waits.
func (c *Client) Subscribe(ctx context.Context, topic string, h Handler) error {
	return c.subscribe(ctx, topic, func(s *subscription) bool {
		if s.handler != nil {
			return false
		}
		s.handler = h
		if !s.working {
			s.working = c.spawn(s.work)
		}
		return true
	}, func(s *subscription) { s.handler = nil })
}

// Unsubscribe ends the topic's subscription, files included, and returns once the server has confirmed; no call of the
// handler begins after that. A durable subscriber's messages on the topic are gone.
func (c *Client) Unsubscribe(ctx context.Context, topic string) error {
	if err := c.open(); err != nil {
		return err
	}
	c.subs.remove(topic)
	_, err := c.requests.do(ctx, unsubscribeRequest(topic))
	return err
}

// subscribe gives a topic's subscription a use, which set takes up if it is free, and waits for the server.
func (c *Client) subscribe(ctx context.Context, topic string, set func(*subscription) bool, unset func(*subscription)) error {
	if err := c.open(); err != nil {
		return err
	}
	if !protocol.ValidTopic([]byte(topic)) {
		return protocol.Errorf(protocol.BadRequest, "topic: takes 1 to 255 bytes of UTF-8 without control characters")
	}
	s, ok := c.subs.claim(topic, set)
	if !ok {
		return ErrSubscribed
	}
	if _, err := c.requests.do(ctx, subscribeRequest(topic)); err != nil {
		if last := c.subs.release(s, unset); last && ctx.Err() != nil {
			c.requests.add(unsubscribeRequest(topic)) // the server may have it
		}
		return err
	}
	return nil
}

func subscribeRequest(topic string) *request {
	return &request{
		frame: protocol.ClientFrame{Type: protocol.TypeSubscribe, Topic: []byte(topic), QoS: 1},
		want:  protocol.TypeSubscribeResponse, about: topic,
	}
}

func unsubscribeRequest(topic string) *request {
	return &request{
		frame: protocol.ClientFrame{Type: protocol.TypeUnsubscribe, Topic: []byte(topic), QoS: 1},
		want:  protocol.TypeUnsubscribeResponse, about: topic,
	}
}

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
	switch s.seen.begin(key) {
	case inHand:
		return
	case acked:
		if f.QoS > 0 {
			s.c.acks.add(key)
			s.c.wake()
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

// next takes the subscription's next message. Nil: there is none now.
func (sub *subscription) next() (*delivery, Handler) {
	s := sub.all
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(sub.queue) == 0 || s.done || sub.handler == nil {
		return nil, nil
	}
	d := sub.queue[0]
	sub.queue[0] = nil
	if sub.queue = sub.queue[1:]; len(sub.queue) == 0 {
		sub.queue = nil
	}
	s.active.Add(1)
	return d, sub.handler
}

// work hands over one message after another until the subscription ends.
func (sub *subscription) work() {
	for {
		for d, h := sub.next(); d != nil; d, h = sub.next() {
			sub.handle(d, h)
		}
		select {
		case <-sub.wake:
		case <-sub.ctx.Done():
			return
		}
	}
}

func (sub *subscription) handle(d *delivery, h Handler) {
	s := sub.all
	defer s.active.Done()
	err, settled := sub.process(d, h)
	s.mu.Lock()
	s.count--
	s.bytes -= len(d.data)
	s.mu.Unlock()
	if err != nil {
		s.c.fault(&MessageError{Topic: d.Topic, MessageID: d.ID, Err: err})
	}
	s.seen.finish(d.key(), settled)
	if settled && !d.Legacy {
		sub.ack(d)
	}
}

// process opens a message and hands it over. settled: it is to be acked, whatever became of it.
func (sub *subscription) process(d *delivery, h Handler) (err error, settled bool) {
	s := sub.all
	if d.Legacy {
		// Acked before it is opened: see Options.AllowLegacy.
		sub.ack(d)
		if !s.c.o.AllowLegacy {
			return ErrLegacy, true
		}
		if d.Payload, err = s.c.o.Keys.OpenLegacy(d.data, d.hash); err == nil {
			err = h(sub.ctx, d.Message)
		}
		return err, true
	}
	var mark e2ee.Mark
	d.Payload, mark, err = s.c.o.Keys.Open(e2ee.Header{Topic: d.Topic, MessageID: d.ID, Timestamp: d.ms}, d.data)
	if err != nil {
		var unknown *e2ee.UnknownKeyError
		return err, !errors.As(err, &unknown)
	}
	if s.replay.Seen(mark) {
		return e2ee.ErrReplay, true
	}
	if err := h(sub.ctx, d.Message); err != nil {
		return err, false
	}
	return s.replay.Accept(mark), true
}

func (sub *subscription) ack(d *delivery) {
	if d.QoS == 0 {
		return
	}
	sub.all.c.acks.add(d.key())
	sub.all.c.wake()
}

func (d *delivery) key() pubKey { return pubKey{d.Topic, d.ID} }
