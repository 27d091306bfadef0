package session

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// join answers subscribe for one that is nobody: its feed has no row. It waits for the backplane alone, in the
// background, and only where that does not answer at once.
func (c *Conn) join(topic string) (wait bool) {
	f := &protocol.ClientFrame{Type: protocol.TypeSubscribe, Topic: []byte(topic)}
	fd := c.feed(topic)
	if fd == nil {
		if c.full(f) {
			return false
		}
		t := c.tenant.topic(f.Topic)
		if t == nil {
			c.refuse(f, errSessionGone)
			return false
		}
		if fd = c.follow(t, nil, 0); fd == nil {
			return false
		}
	}
	e := c.enterFence(fd, f)
	select {
	case err := <-e.fenced:
		e.end(err)
		return false
	default:
		return c.cold(e.wait)
	}
}

// subscribe answers subscribe for a durable subscriber. A held topic keeps its position.
func (c *Conn) subscribe(ctx context.Context, topic string) {
	f := &protocol.ClientFrame{Type: protocol.TypeSubscribe, Topic: []byte(topic)}
	s := c.subscriber
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
	if fd := c.feed(topic); fd != nil {
		if s.scattered() {
			// Another connection of the user may have left the topic through another node: then this is a new subscription.
			row, err := c.node.store.Subscribe(ctx, s.key, fd.topic.stored(), false)
			if err != nil {
				c.refuse(f, subscribeRefusal(err))
				return
			}
			c.node.drainAll(ctx, fd.topic, row)
			fd.sub.union(row)
		}
		c.enterFence(fd, f).wait(ctx)
		return
	}
	if c.full(f) {
		return
	}
	row, err := c.node.store.Subscribe(ctx, s.key, storage.Topic{Session: c.tenant.id, Name: topic}, false)
	if err != nil {
		c.refuse(f, subscribeRefusal(err))
		return
	}
	c.node.observe(row.Epoch)
	if at, held := c.held[topic]; held && row.Attach > at {
		c.stop(protocol.CloseTakenOver, "taken over by a newer connection") // while this one was busy
		return
	}
	delete(c.held, topic)
	t := c.tenant.topic(f.Topic)
	if t == nil {
		c.refuse(f, errSessionGone)
		return
	}
	c.node.drainAll(ctx, t, row)
	if fd := c.follow(t, c.tenant.acquire(s, row), row.Head); fd != nil {
		c.enterFence(fd, f).wait(ctx)
	}
}

// full refuses f where the connection follows as many topics as it may.
func (c *Conn) full(f *protocol.ClientFrame) bool {
	c.mu.Lock()
	topics := len(c.feeds)
	c.mu.Unlock()
	if topics < c.node.cfg.MaxTopics {
		return false
	}
	c.refuse(f, protocol.Errorf(protocol.QuotaExceeded, "this connection has its full number of topics"))
	return true
}

// fencePatience is how long a subscribe waits for the backplane.
const fencePatience = 3 * time.Second

// entrance is a feed on its way behind the fence, from where on it gets its topic's messages in the channel's order. The
// answer goes out before the first of them.
type entrance struct {
	conn   *Conn
	feed   *feed
	ask    *protocol.ClientFrame
	answer *Packet
	told   atomic.Bool
	fenced chan error
}

func (c *Conn) enterFence(fd *feed, ask *protocol.ClientFrame) *entrance {
	e := &entrance{conn: c, feed: fd, ask: ask, fenced: make(chan error, 1)}
	e.answer = NewPacket(false, 96, (&protocol.ServerFrame{Type: protocol.TypeSubscribeResponse, Success: true, Topic: ask.Topic}).Append)
	fd.topic.fence(func(err error) {
		if err == nil {
			e.open()
		}
		e.fenced <- err
	})
	return e
}

func (e *entrance) open() {
	if !e.told.Swap(true) {
		e.conn.send(LaneControl, e.answer)
	}
	e.feed.open()
}

// wait waits for the backplane, and ends what it does not let in.
func (e *entrance) wait(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, fencePatience)
	defer cancel()
	select {
	case err := <-e.fenced:
		e.end(err)
	case <-ctx.Done():
		e.end(ctx.Err())
	}
}

func (e *entrance) end(err error) {
	switch {
	case err == nil:
	case e.feed.sub != nil:
		e.open() // the row is committed: the store alone keeps the promise, until the backplane is back
	case !e.told.Swap(true):
		e.conn.unfollow(e.feed)
		e.conn.refuse(e.ask, errRoutes)
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
