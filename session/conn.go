package session

import (
	"context"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// Conn is a connection: the engine's end of a Socket.
type Conn struct {
	node   *Node
	socket Socket
	number uint64 // names it among this node's, from 1

	// Owned by the frame loop: one goroutine at a time, cold frames included.
	from  *netip.Addr      // nil once it has logged in
	batch *batch           // publishes that came in the read that is under way
	held  map[string]int64 // version 1: the attach numbers that it came with, of a client's topics that it has not asked for
	bad   uint8            // bad frames in a row
	begun bool             // an init has been taken

	// Set before ready is, constant afterwards.
	version uint8
	tenant  *tenant
	client  string

	// Set before ready is. A connection that was nobody becomes a user's with a push token: by its frame loop, under
	// tenant.mu and mu.
	subscriber *subscriber // nil: ephemeral
	user       string

	ready      atomic.Bool
	closed     atomic.Bool  // nothing is sent any more; set under mu
	unanswered atomic.Int64 // publishes; leaving is added once no more are taken
	alive      atomic.Int64 // when the newest ping was sent that was answered, by the node's clock
	index      int          // in tenant.conns, -1: not there; guarded by tenant.mu

	mu       sync.Mutex // guards the following
	busy     bool       // a cold frame is under way
	detached bool
	counted  uint8 // as which version it is among the connections; 0: not logged in
	window   window
	feeds    []*feed
	behind   []*feed  // wait for room
	backlog  backlog  // an ephemeral subscriber's
	first    []before // its publishes that are appended before they are announced
	choked   int64    // until when nothing more is read for it: its outbox was full
	pinged   int64    // when a ping was asked for last
	alarm    alarm    // for what is out
	file     *filePeer
}

var _ Peer = (*Conn)(nil)

// Ready reports whether the connection has logged in.
func (c *Conn) Ready() bool { return c.ready.Load() }

// Alive tells that a ping sent at a time was answered: tries before it count.
func (c *Conn) Alive(pinged time.Time) {
	at := c.node.at(pinged)
	for {
		was := c.alive.Load()
		if at <= was || c.alive.CompareAndSwap(was, at) {
			break
		}
	}
	if !c.ready.Load() {
		return
	}
	c.mu.Lock()
	if at < c.pinged {
		c.pinged = 0 // an older ping's pong: it may have stood for the newer one's
	}
	c.mu.Unlock()
	c.ring(c.node.clock())
}

// Closed tells that the socket is gone.
func (c *Conn) Closed() {
	c.mu.Lock()
	c.closed.Store(true)
	busy := c.busy
	c.mu.Unlock()
	if !busy { // else whoever is busy does it afterwards
		c.detach()
	}
}

// counts moves the connection among those of its version.
func (c *Conn) counts() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.detached {
		c.node.figures.connections[c.counted].Add(-1)
		c.counted = c.version
		c.node.figures.connections[c.counted].Add(1)
	}
}

// stop ends the connection: once it returns nothing is sent but the close frame.
func (c *Conn) stop(code protocol.CloseCode, reason string) {
	c.mu.Lock()
	c.closed.Store(true)
	c.mu.Unlock()
	c.socket.Close(code, reason)
}

// detach takes the connection out of everything, once.
func (c *Conn) detach() {
	c.mu.Lock()
	if c.detached {
		c.mu.Unlock()
		return
	}
	c.detached = true
	c.closed.Store(true)
	feeds, file, subscriber, counted := c.feeds, c.file, c.subscriber, c.counted
	c.feeds, c.behind, c.window, c.backlog = nil, nil, window{}, backlog{}
	c.node.alarms.drop(&c.alarm)
	c.mu.Unlock()
	c.node.figures.connections[counted].Add(-1)
	if c.tenant == nil {
		return
	}
	for _, f := range feeds {
		c.part(f)
	}
	c.tenant.leave(c)
	if file != nil {
		c.node.files.closed(file)
	}
	if subscriber != nil && subscriber.unflushed.Load() > 0 {
		c.node.cursors.soon()
	}
}

// part takes a feed out of its topic.
func (c *Conn) part(f *feed) {
	f.topic.remove(f)
	if f.sub != nil {
		c.tenant.release(f.sub)
	}
}

// coldTimeout bounds what a connection waits for the store and the backplane with one frame.
const coldTimeout = 15 * time.Second

// cold does what may block while the connection's frames wait.
func (c *Conn) cold(do func(ctx context.Context)) (wait bool) {
	c.mu.Lock()
	if c.closed.Load() {
		c.mu.Unlock()
		return false
	}
	c.busy = true
	c.mu.Unlock()
	started := c.node.begin(func(ctx context.Context) {
		defer c.warm()
		ctx, cancel := context.WithTimeout(ctx, coldTimeout)
		defer cancel()
		do(ctx)
	})
	if !started {
		c.warm()
		c.stop(protocol.CloseGoingAway, "the server is stopping")
	}
	return started
}

// warm ends a cold frame.
func (c *Conn) warm() {
	if fault := recover(); fault != nil {
		c.node.log.Error("a frame's handler panicked", slog.Any("fault", fault), slog.String("stack", string(debug.Stack())))
		c.stop(protocol.CloseGoingAway, "internal error")
	}
	c.mu.Lock()
	c.busy = false
	closed := c.closed.Load()
	c.mu.Unlock()
	if closed {
		c.detach()
	}
	c.socket.Resume()
}

// send queues a packet, unless the connection is closed.
func (c *Conn) send(l Lane, p *Packet) bool {
	return !c.closed.Load() && c.socket.Send(l, p)
}

// identities are the keys under which the connection is present.
func (c *Conn) identities() (keys []storage.Subscriber) {
	if c.subscriber == nil {
		return nil
	}
	keys = append(keys, c.subscriber.key)
	if c.subscriber.client() && c.user != "" {
		keys = append(keys, userSubscriber(c.user))
	}
	return keys
}

// feed finds the connection's feed of a topic, or nil.
func (c *Conn) feed(topic string) *feed {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.feeds {
		if f.topic.name == topic {
			return f
		}
	}
	return nil
}

// follow starts a feed; the caller fences it. nil: the connection is closed.
func (c *Conn) follow(t *topic, sub *subscription, head uint64) *feed {
	f := &feed{conn: c, topic: t, sub: sub}
	c.mu.Lock()
	if c.closed.Load() {
		c.mu.Unlock()
		if sub != nil {
			c.tenant.release(sub)
		}
		return nil
	}
	c.feeds = append(c.feeds, f)
	c.mu.Unlock()
	t.add(f, head)
	return f
}

// end ends a feed, unless the connection has left everything already. What is out on it stays out.
func (c *Conn) end(f *feed) {
	c.mu.Lock()
	i := slices.Index(c.feeds, f)
	if i >= 0 {
		c.feeds = append(c.feeds[:i], c.feeds[i+1:]...)
	}
	c.mu.Unlock()
	if i >= 0 {
		c.part(f)
	}
}

// unfollow ends a feed and forgets what is out on it.
func (c *Conn) unfollow(f *feed) {
	c.end(f)
	// Only now nothing can be sent on it any more.
	c.mu.Lock()
	c.window.keep(func(o *out) bool { return o.f != f })
	c.backlog.keep(func(w *waits) bool { return w.f != f })
	c.mu.Unlock()
	c.resume()
}
