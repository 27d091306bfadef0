package client

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// PublishOption changes one publish.
type PublishOption func(*publication)

// WithMessageID sets the id, at most 64 bytes. Published again with the same id within 15 minutes, by this or a later
// process, the message is delivered to nobody anew. Default: a random UUID.
func WithMessageID(id string) PublishOption { return func(p *publication) { p.key.id = id } }

// AtMostOnce publishes for whoever is there now: never stored, never sent again by anyone (qos 0).
func AtMostOnce() PublishOption { return func(p *publication) { p.qos = 0 } }

// Publish seals payload and returns nil once the server has acked it: from then on it reaches every durable subscriber
// of the topic. It sends again by itself, over new connections too, under the same id, until ctx ends; then the
// message may or may not have been delivered. Concurrent calls are pipelined.
//
// It waits while the queue is full, or fails with ErrQueueFull while the connection is down. A refusal that trying again
// cannot mend is a *protocol.Error.
func (c *Client) Publish(ctx context.Context, topic string, payload []byte, opts ...PublishOption) error {
	r, err := c.PublishAsync(ctx, topic, payload, opts...)
	if err != nil {
		return err
	}
	select {
	case <-r.Done():
	case <-ctx.Done():
		c.outbox.settle(r.p, context.Cause(ctx)) // unless it was acked just now
	}
	return r.Err()
}

// PublishAsync is Publish in two steps: it returns once the message is queued, in the order of the calls, and the
// Receipt tells what became of it. ctx bounds the queueing alone. The payload must not be changed before the receipt is done.
func (c *Client) PublishAsync(ctx context.Context, topic string, payload []byte, opts ...PublishOption) (*Receipt, error) {
	p := &publication{key: pubKey{topic: topic}, payload: payload, qos: 1, done: make(chan struct{})}
	for _, opt := range opts {
		opt(p)
	}
	if p.key.id == "" {
		p.key.id = newUUID()
	}
	if err := c.open(); err != nil {
		return nil, err
	}
	if err := c.publishable(p); err != nil {
		return nil, err
	}
	if err := c.outbox.add(ctx, p); err != nil {
		return nil, err
	}
	return &Receipt{p, c.outbox}, nil
}

// publishable refuses what the server would refuse, before it takes up room.
func (c *Client) publishable(p *publication) error {
	switch {
	case !protocol.ValidTopic([]byte(p.key.topic)):
		return protocol.Errorf(protocol.BadRequest, "topic: takes 1 to 255 bytes of UTF-8 without control characters")
	case !protocol.ValidMessageID([]byte(p.key.id)):
		return protocol.Errorf(protocol.BadRequest, "messageId: takes 1 to 64 bytes of UTF-8 without control characters")
	}
	const frame = 1 << 10 // all of a frame but its data, at most
	limit := protocol.MaxPayload
	if l := c.Limits().MaxPayload; l > 0 {
		limit = l
	}
	if base64.StdEncoding.EncodedLen(len(p.payload)+64)+frame > limit {
		return protocol.Errorf(protocol.TooLarge, "payload: sealed, it is larger than the server takes; send it as a file")
	}
	return nil
}

// Receipt is a message on its way.
type Receipt struct {
	p *publication
	o *outbox
}

// MessageID is the id that the message goes by.
func (r *Receipt) MessageID() string { return r.p.key.id }

// Done is closed when the message is acked or has failed.
func (r *Receipt) Done() <-chan struct{} { return r.p.done }

// Err is nil before Done is closed and if the message was acked.
func (r *Receipt) Err() error {
	select {
	case <-r.p.done:
		return r.p.err
	default:
		return nil
	}
}

// Tries is how many times the message has gone out so far. One that went out again, over a new connection or because it
// was not answered, may stand behind messages that were published after it.
func (r *Receipt) Tries() int {
	r.o.mu.Lock()
	defer r.o.mu.Unlock()
	return r.p.tries
}

// publishFrame seals p for now. Its timestamp is fresh each time that it is sent, for the server refuses an old one.
func (c *Client) publishFrame(p *publication) (protocol.ClientFrame, error) {
	f := protocol.ClientFrame{
		Type: protocol.TypePublish, Topic: []byte(p.key.topic), MessageID: []byte(p.key.id), QoS: p.qos,
		Timestamp: c.clock.now().UnixMilli(), HasTimestamp: true, HasData: true, Retry: p.tries > 0,
	}
	var err error
	if c.o.Suite == 1 {
		if f.Data, err = c.o.Keys.SealLegacy(p.payload); err == nil {
			f.Hash = []byte(e2ee.Hash(f.Data))
		}
		return f, err
	}
	f.Data, err = c.sealer.Seal(e2ee.Header{Topic: p.key.topic, MessageID: p.key.id, Timestamp: f.Timestamp}, p.payload)
	return f, err
}

// newUUID is a random UUID (RFC 9562, version 4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[:8], b[:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:], b[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
