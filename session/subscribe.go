package session

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// fencePatience is how long a subscribe waits for the backplane.
const fencePatience = 3 * time.Second

// subscribe answers subscribe. A held topic keeps its position.
func (c *Conn) subscribe(ctx context.Context, topic string) {
	f := &protocol.ClientFrame{Type: protocol.TypeSubscribe, Topic: []byte(topic)}
	done := NewPacket(false, 96, (&protocol.ServerFrame{Type: protocol.TypeSubscribeResponse, Success: true, Topic: f.Topic}).Append)
	s := c.subscriber
	if s != nil {
		// Also for a held topic: another connection of the user may be leaving it.
		leave, err := c.node.turns.take(ctx, turn{c.tenant.id, s.key})
		if err != nil {
			c.refuse(f, errStore)
			return
		}
		defer leave()
		if c.closed.Load() {
			return // taken over while it waited
		}
	}
	if fd := c.feed(topic); fd != nil {
		if s != nil && s.scattered() {
			// Another connection of the user may have left the topic through another node: then this is a new subscription.
			row, err := c.node.store.Subscribe(ctx, s.key, fd.topic.stored(), false)
			if err != nil {
				c.refuse(f, subscribeRefusal(err))
				return
			}
			c.node.drainAll(ctx, fd.topic, row)
			fd.sub.union(row)
		}
		c.passFence(ctx, fd, f, done)
		return
	}
	if c.topics() >= c.node.cfg.MaxTopics {
		c.refuse(f, protocol.Errorf(protocol.QuotaExceeded, "this connection has its full number of topics"))
		return
	}
	var row storage.Subscription
	if s != nil {
		var err error
		if row, err = c.node.store.Subscribe(ctx, s.key, storage.Topic{Session: c.tenant.id, Name: topic}, false); err != nil {
			c.refuse(f, subscribeRefusal(err))
			return
		}
		c.node.observe(row.Epoch)
		if at, held := c.held[topic]; held && row.Attach > at {
			c.stop(protocol.CloseTakenOver, "taken over by a newer connection") // while this one was busy
			return
		}
		delete(c.held, topic)
	}
	t := c.tenant.topic(f.Topic)
	if t == nil {
		c.refuse(f, errSessionGone)
		return
	}
	var sub *subscription
	if s != nil {
		c.node.drainAll(ctx, t, row)
		sub = c.tenant.acquire(s, row)
	}
	if fd := c.follow(t, sub, row.Head); fd != nil {
		c.passFence(ctx, fd, f, done)
	}
}

// passFence opens a feed in the channel's order, the answer before its first message.
func (c *Conn) passFence(ctx context.Context, fd *feed, f *protocol.ClientFrame, answer *Packet) {
	fenced := make(chan error, 1)
	var told atomic.Bool
	fd.topic.fence(func(err error) {
		if err == nil {
			if !told.Swap(true) {
				c.send(LaneControl, answer)
			}
			fd.open()
		}
		fenced <- err
	})
	ctx, cancel := context.WithTimeout(ctx, fencePatience)
	defer cancel()
	var err error
	select {
	case err = <-fenced:
	case <-ctx.Done():
		err = ctx.Err()
	}
	switch {
	case err == nil:
	case fd.sub != nil:
		// The row is committed: the store alone keeps the promise, until the backplane is back.
		if !told.Swap(true) {
			c.send(LaneControl, answer)
		}
		fd.open()
	case !told.Swap(true):
		c.unfollow(fd)
		c.refuse(f, errRoutes)
	}
}

// unsubscribe answers unsubscribe. A user's is for all its connections.
func (c *Conn) unsubscribe(ctx context.Context, topic string) {
	f := &protocol.ClientFrame{Type: protocol.TypeUnsubscribe, Topic: []byte(topic)}
	if s := c.subscriber; s != nil {
		leave, err := c.node.turns.take(ctx, turn{c.tenant.id, s.key})
		if err != nil {
			c.refuse(f, errStore)
			return
		}
		defer leave()
		if c.closed.Load() {
			return
		}
		if err := c.node.store.Unsubscribe(ctx, s.key, storage.Topic{Session: c.tenant.id, Name: topic}); err != nil {
			c.refuse(f, errStore)
			return
		}
		c.tenant.drop(s, topic)
	} else if fd := c.feed(topic); fd != nil {
		c.unfollow(fd)
	}
	c.answer(LaneControl, &protocol.ServerFrame{Type: protocol.TypeUnsubscribeResponse, Success: true, Topic: f.Topic})
}

// topics counts the connection's subscriptions.
func (c *Conn) topics() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.feeds)
}

func subscribeRefusal(err error) *protocol.Error {
	switch {
	case errors.Is(err, storage.ErrNoSession):
		return errSessionGone
	case errors.Is(err, storage.ErrQuota):
		return protocol.Errorf(protocol.QuotaExceeded, "the session has its full number of durable subscriptions or topics")
	case errors.Is(err, storage.ErrInvalid):
		return protocol.Errorf(protocol.BadRequest, "topic: holds text that cannot be stored")
	default:
		return errStore
	}
}
