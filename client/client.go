package client

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// stable is how long a connection must have held for the backoff to start anew.
const stable = 10 * time.Second

// Client is one connected device.
type Client struct {
	o     Options
	log   *slog.Logger
	clock clock

	sealer    *e2ee.Sealer
	requests  *requests
	acks      *ackQueue
	outbox    *outbox
	subs      *subscriptions
	sending   *sendings
	receiving *receivings
	reports   chan func()
	places    *places
	own       ownIDs
	retiring  atomic.Pointer[conn] // the one before, while it is still up: acks go there too

	// Owned by run, and by Connect before it.
	retired    <-chan struct{} // closed when the one before has been closed
	unanswered lateLogins

	ctx    context.Context // ends with the client; its cause is Err
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	closeOnce sync.Once
	closeErr  error

	mu      sync.Mutex    // guards the following
	conn    *conn         // nil: not connected
	login   login         // of the last connection
	lost    chan struct{} // closed when there is no connection; another one with each that comes then
	closing bool
}

// Connect logs in and returns once the server has accepted. ctx bounds connecting alone. A wrong password, an unknown
// session or a wrong key fails at once, with a *protocol.Error of Unauthorized or KeyMismatch.
func Connect(ctx context.Context, o Options) (*Client, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{o: o, log: o.Logger, sealer: o.Keys.NewSealer(), reports: make(chan func(), maxReports)}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.places = newPlaces(o.URLs)
	none := make(chan struct{})
	close(none)
	c.retired, c.lost = none, none
	c.requests = newRequests(c)
	c.acks = newAckQueue()
	c.outbox = newOutbox(c)
	c.subs = newSubscriptions(c)
	c.sending = newSendings(c)
	c.receiving = newReceivings(c)

	k, err := c.redial(ctx, &backoff{min: o.BackoffMin, max: o.BackoffMax}, o.Wait)
	if err != nil {
		c.cancel(err)
		return nil, err
	}
	c.wg.Go(c.report)
	c.attach(k)
	c.wg.Go(func() { c.run(k) })
	return c, nil
}

// Close waits until what was published is acked (unless the connection is down) and the handlers at work have
// returned, sends the acks that are due, and disconnects; files under way are cancelled. When ctx ends it does so at
// once and returns ctx's error; publishes that are not acked by then fail with ErrClosed. It must not be called from a
// handler or callback. Further calls wait for the first.
func (c *Client) Close(ctx context.Context) error {
	c.closeOnce.Do(func() { c.closeErr = c.close(ctx) })
	return c.closeErr
}

func (c *Client) close(ctx context.Context) error {
	c.mu.Lock()
	c.closing = true
	c.mu.Unlock()

	c.outbox.drain(ctx)
	c.subs.stop(ctx)
	c.sending.cancelAll(ErrClosed)
	c.receiving.abortAll(ErrClosed)
	if k := c.current(); k != nil && k.flush(ctx.Done()) {
		k.shutdown(ctx.Done())
	}
	c.end(ErrClosed)

	gone := make(chan struct{})
	go func() { // outlives Close only where a handler outlives ctx
		c.wg.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Done is closed when the client has ended: by Close, or for a reason that trying again cannot mend.
func (c *Client) Done() <-chan struct{} { return c.ctx.Done() }

// Err is why the client ended: ErrClosed, ErrTakenOver, a *CloseError or a *protocol.Error. Nil before Done is closed.
func (c *Client) Err() error { return context.Cause(c.ctx) }

// ClientID is the id that the server knows this client by.
func (c *Client) ClientID() string { return c.lastLogin().clientID }

// Limits are those of the session, as of the last login.
func (c *Client) Limits() protocol.SessionLimits { return c.lastLogin().limits }

// Now is the server's clock as this client knows it.
func (c *Client) Now() time.Time { return c.clock.now() }

func (c *Client) lastLogin() login {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.login
}

// current is the connection that is up, or nil.
func (c *Client) current() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn
}

// down is closed when there is no connection. A move from one to another does not count.
func (c *Client) down() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// ack has a message acked, over the connection before too while it is up: its server waits for acks of its own.
func (c *Client) ack(key pubKey) {
	c.acks.add(key)
	c.wake()
	if old := c.retiring.Load(); old != nil {
		old.acks.add(key)
		old.wake()
	}
}

// open is why nothing new is taken any more, or nil.
func (c *Client) open() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return ErrClosed
	}
	return c.Err()
}

// spawn starts a goroutine that Close waits for. False: the client is closing.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.wg.Go(f)
	return true
}

// wake tells the writer that something waits.
func (c *Client) wake() {
	if k := c.current(); k != nil {
		k.wake()
	}
}

// run keeps one connection up.
func (c *Client) run(k *conn) {
	b := &backoff{min: c.o.BackoffMin, max: c.o.BackoffMax}
	for k != nil {
		old, next := k, c.watch(k)
		if next != nil {
			c.attach(next)
			retired := make(chan struct{})
			c.retired = retired
			c.wg.Go(func() { c.retire(old, next, retired) })
		} else {
			next = c.replace(old, b)
		}
		k = next
	}
}

// watch waits until k is down (nil), or has been replaced while it was still up.
func (c *Client) watch(k *conn) *conn {
	for {
		select {
		case <-k.down:
			return nil
		case <-c.ctx.Done():
			k.fail(ErrClosed)
			return nil
		case <-k.move:
		}
		if next := c.moveFrom(k); next != nil {
			return next
		}
	}
}

// replace makes a new connection for one that is down. Nil: the client has ended.
func (c *Client) replace(k *conn, b *backoff) *conn {
	c.detach(k)
	err := k.err
	var closed *CloseError
	if errors.As(err, &closed) && closed.Code == protocol.CloseTakenOver {
		if c.unanswered.take() || k.moving.Load() { // by a connection of our own whose login was then lost
			err = ErrLost
		} else {
			err = ErrTakenOver
		}
	}
	if c.ctx.Err() != nil || errors.Is(err, ErrClosed) || fatal(err) {
		c.end(err)
		return nil
	}
	c.fault(&ConnectionError{Err: err})
	c.places.skip()
	if time.Since(k.born) > stable {
		b.reset()
	}
	if errors.As(err, &closed) {
		switch closed.Code {
		case protocol.CloseDraining: // many were told the same
			if !pause(c.ctx, jitter(time.Second)) {
				return nil
			}
		case protocol.CloseRateLimited, protocol.CloseProtocol:
			b.failures = max(b.failures, 3)
		}
	}
	if !pause(c.ctx, b.next(0)) {
		return nil
	}
	next, err := c.redial(c.ctx, b, true)
	if err != nil {
		c.end(err)
		return nil
	}
	c.attach(next)
	return next
}

// redial dials until it succeeds or cannot; once only, unless again.
func (c *Client) redial(ctx context.Context, b *backoff, again bool) (*conn, error) {
	for {
		k, err := c.dial(ctx, nil)
		if err == nil {
			return k, nil
		}
		if ctx.Err() != nil {
			return nil, errors.Join(context.Cause(ctx), err)
		}
		if !again || fatal(err) {
			return nil, err
		}
		wait := b.next(0)
		c.log.Info("not connected", "error", err, "retryIn", wait)
		if !pause(ctx, wait) {
			return nil, errors.Join(context.Cause(ctx), err)
		}
	}
}

// attach makes k the connection, from which all goes out that waits or was not answered on the one before.
func (c *Client) attach(k *conn) {
	c.mu.Lock()
	old := c.conn
	c.conn, c.login = k, k.login
	if old == nil {
		c.lost = make(chan struct{})
	}
	c.mu.Unlock()
	if old != nil {
		old.feed(false)
		c.retiring.Store(old)
		if c.o.ClientID == "" {
			k.hold()
		}
	}
	c.subs.held(k.login)
	if c.requests.restart(c.subs.again(k.login)) {
		k.settle()
	}
	c.outbox.restart()
	c.sending.move()
	c.receiving.move()
	k.feed(true)
	k.start()
	if old == nil {
		c.log.Info("connected", "resumed", k.login.resumed)
		c.state(true)
	} else {
		c.log.Info("moved to another connection", "resumed", k.login.resumed)
		c.moved()
	}
}

func (c *Client) detach(k *conn) {
	k.feed(false)
	c.mu.Lock()
	if c.conn == k {
		c.conn = nil
		close(c.lost)
	}
	c.mu.Unlock()
	c.outbox.lost()
	c.sending.move()
	c.receiving.move()
	c.state(false)
}

// end ends the client. The first call's err counts.
func (c *Client) end(err error) {
	c.cancel(err)
	err = c.Err()
	if k := c.current(); k != nil {
		k.fail(err)
	}
	c.outbox.fail(err)
	c.requests.fail(err)
	c.sending.cancelAll(err)
	c.receiving.abortAll(err)
}

// tick is called by the connection's writer about once a second.
func (c *Client) tick(k *conn) {
	if c.current() == k {
		c.outbox.tick()
	}
}

func (l login) holds(topic string) bool { return slices.Contains(l.topics, topic) }
