package client

import (
	"context"
	"errors"
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
	sub.all.c.ack(d.key())
}

func (d *delivery) key() pubKey { return pubKey{d.Topic, d.ID} }
