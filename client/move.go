package client

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/fastport/fastport/protocol"
)

const (
	// answerTime is how long a move waits for the answers to what was published over the old connection.
	answerTime = time.Second
	// handover bounds how long the old connection is kept while the new one subscribes, and again while that catches up.
	handover = 5 * time.Second
	// overlap is how long it is kept after that: its node may be that far behind the new one's.
	overlap = time.Second
)

// moveFrom makes a new connection in the place of k while that is up. Nil: k goes on, or is down.
//
// The server takes a ClientID's old connection over with the new one's login, and gives everyone else both until this
// client closes the old one. In between a message may come over each, which dedupe makes one, and what is published
// over one comes back over the other. So that all comes in order, too, what the new connection brings waits there until
// the old one is closed: what the new one lacks (it came to the node before the new one was there, or another connection
// of the user has acked it) comes over the old one. See conn.holds.
func (c *Client) moveFrom(k *conn) *conn {
	select {
	case <-c.retired: // two connections at a time are enough
	case <-k.down:
		return nil
	case <-c.ctx.Done():
		return nil
	}
	c.places.skip()
	next, err := c.dial(c.ctx, k)
	if err == nil {
		return next
	}
	c.own.end()
	k.pause(false)
	c.log.Info("the new connection failed, the old one goes on", "error", err)
	time.AfterFunc(time.Second/2+jitter(time.Second), k.askToMove)
	return nil
}

// settleOn lets no more publishes out over k and waits for the answers to those that are, so that few have to be sent
// again over the next connection.
func (c *Client) settleOn(k *conn) {
	c.own.begin()
	k.pause(true)
	t := time.NewTimer(answerTime)
	defer t.Stop()
	select {
	case <-c.outbox.quiet():
	case <-k.down:
	case <-t.C:
	case <-c.ctx.Done():
	}
	for _, key := range c.outbox.keys() {
		c.own.add(key)
	}
}

// retire closes the old connection once the new one has its subscriptions, so that no message falls between them.
func (c *Client) retire(old, next *conn, retired chan<- struct{}) {
	defer close(retired)
	wait := func(settled <-chan struct{}, most time.Duration) (both bool) {
		t := time.NewTimer(most)
		defer t.Stop()
		select {
		case <-settled:
			return true
		case <-t.C:
			return true
		case <-old.down:
		case <-next.down:
		case <-c.ctx.Done():
		}
		return false
	}
	wait(next.settled, handover)
	if c.o.ClientID == "" {
		// What one connection of a user acks is not replayed to the others: they have it live or not at all.
		for begun := time.Now(); time.Since(begun) < handover; {
			quiet := overlap - time.Since(time.Unix(0, max(begun.UnixNano(), next.replayed.Load())))
			if quiet <= 0 || !wait(nil, quiet) {
				break
			}
		}
	}
	if !old.isDown() {
		old.shutdown(c.ctx.Done())
	}
	<-old.drained // what it had read goes before
	next.letGo()
	c.retiring.Store(nil)
	c.own.end()
	// Files stay with their connection: an ephemeral client's are found again only once it is gone.
	c.sending.move()
	c.receiving.move()
	next.wake()
}

// holding is what a new connection has brought while the old one was still there. Its zero value holds nothing.
type holding struct {
	mu   sync.Mutex // guards the following
	on   bool
	list []*protocol.ServerFrame // at most maxInHand
}

// hold has messages wait until letGo.
func (k *conn) hold() {
	k.held.mu.Lock()
	k.held.on = true
	k.held.mu.Unlock()
}

// holds keeps a message back that the old connection, which gives them in the same order, has not brought yet. When
// there are too many, the old one is too far behind to be waited for.
func (k *conn) holds(f *protocol.ServerFrame) bool {
	h := &k.held
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.on && f.Replay {
		k.replayed.Store(time.Now().UnixNano())
	}
	if !h.on || k.c.subs.knows(f) {
		return false
	}
	if len(h.list) >= maxInHand {
		k.letGoLocked()
		return false
	}
	h.list = append(h.list, &protocol.ServerFrame{
		Type: f.Type, Topic: slices.Clone(f.Topic), MessageID: slices.Clone(f.MessageID), Data: slices.Clone(f.Data),
		Hash: slices.Clone(f.Hash), Timestamp: f.Timestamp, QoS: f.QoS, Retry: f.Retry, Replay: f.Replay, Seq: f.Seq,
	})
	return true
}

// letGo hands on what was held, and all that comes from now on.
func (k *conn) letGo() {
	k.held.mu.Lock()
	defer k.held.mu.Unlock()
	k.letGoLocked()
}

func (k *conn) letGoLocked() {
	for _, f := range k.held.list {
		k.c.subs.deliver(f)
	}
	k.held.on, k.held.list = false, nil
}

// ownIDs knows what this client publishes while it has two connections: over one comes back what the other published.
// It grows for as long as that lasts, a few seconds.
type ownIDs struct {
	mu  sync.Mutex // guards the following
	ids map[digest]struct{}
}

func (o *ownIDs) begin() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ids == nil {
		o.ids = make(map[digest]struct{})
	}
}

func (o *ownIDs) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ids = nil
}

func (o *ownIDs) add(key pubKey) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ids != nil {
		o.ids[key.digest()] = struct{}{}
	}
}

func (o *ownIDs) has(key pubKey) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ids == nil {
		return false
	}
	_, ok := o.ids[key.digest()]
	return ok
}

// triedLogin reports whether a server could not finish a login. It may have closed the old connection of the ClientID
// before it found that out.
func triedLogin(err error) bool {
	var refused *protocol.Error
	return errors.As(err, &refused) && (refused.Code == protocol.Unavailable || refused.Code == protocol.Internal)
}

// refusedLogin reports whether a server has said that it did not log the connection in.
func refusedLogin(err error) bool {
	var refused *protocol.Error
	return errors.As(err, &refused)
}
