package client

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/fastport/fastport/protocol"
)

// pubKey names a message: an id counts within its topic.
type pubKey struct{ topic, id string }

// publication is a message that is published and not acked yet.
type publication struct {
	key     pubKey
	payload []byte
	qos     uint8
	done    chan struct{}
	err     error // before done is closed

	// Guarded by the outbox.
	order   uint64
	tries   int       // times it went out
	sent    time.Time // last
	waiting bool      // to go out
	out     bool      // not answered on this connection yet
	later   time.Time // not before
	over    bool
}

// outbox holds what is published and not acked yet, at most QueueSize messages and QueueBytes of them. Whoever
// publishes beyond that waits, or is refused while the connection is down.
type outbox struct {
	c     *Client
	slots *semaphore.Weighted
	bytes *semaphore.Weighted

	mu      sync.Mutex // guards the following
	pending map[pubKey]*publication
	queue   []*publication // to go out, in order; those that are over are skipped
	order   uint64
	err     error         // the client has ended
	empty   chan struct{} // closed when nothing is pending; nil: nobody waits for that
	out     int           // of pending
	still   chan struct{} // closed when none is out; nil: nobody waits for that
}

func newOutbox(c *Client) *outbox {
	return &outbox{
		c: c, pending: make(map[pubKey]*publication),
		slots: semaphore.NewWeighted(int64(c.o.QueueSize)), bytes: semaphore.NewWeighted(c.o.QueueBytes),
	}
}

// weight is what p takes of QueueBytes; one that is larger than all of it goes alone.
func (o *outbox) weight(p *publication) int64 { return min(int64(len(p.payload)), o.c.o.QueueBytes) }

// add queues p, waiting for room while the connection is up.
func (o *outbox) add(ctx context.Context, p *publication) error {
	if !o.slots.TryAcquire(1) {
		if err := o.wait(ctx, o.slots, 1); err != nil {
			return err
		}
	}
	if !o.bytes.TryAcquire(o.weight(p)) {
		if err := o.wait(ctx, o.bytes, o.weight(p)); err != nil {
			o.slots.Release(1)
			return err
		}
	}
	if err := o.push(p); err != nil {
		o.release(p)
		return err
	}
	o.c.wake()
	return nil
}

// wait waits for room until ctx ends or the connection goes down.
func (o *outbox) wait(ctx context.Context, s *semaphore.Weighted, n int64) error {
	down := o.c.down()
	waiting, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-down:
			stop(ErrQueueFull)
		case <-waiting.Done():
		}
	}()
	defer func() { stop(nil); <-watched }()
	if s.Acquire(waiting, n) == nil {
		return nil
	}
	if err := o.c.Err(); err != nil {
		return err
	}
	return context.Cause(waiting)
}

func (o *outbox) push(p *publication) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return o.err
	}
	if o.pending[p.key] != nil {
		return ErrDuplicate
	}
	o.order++
	p.order, p.waiting = o.order, true
	o.pending[p.key] = p
	o.queue = append(o.queue, p)
	return nil
}

func (o *outbox) release(p *publication) {
	o.slots.Release(1)
	o.bytes.Release(o.weight(p))
}

// pull writes what waits, up to a batch.
func (o *outbox) pull(k *conn) {
	for start := len(k.out); len(k.out)-start < batchBytes; {
		p := o.next()
		if p == nil {
			return
		}
		f, err := o.c.publishFrame(p)
		if err != nil {
			o.settle(p, err)
			continue
		}
		o.c.own.add(p.key)
		k.text(&f)
		o.mu.Lock()
		p.tries++
		o.mu.Unlock()
	}
	k.wake()
}

func (o *outbox) next() *publication {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.queue) > 0 {
		p := o.queue[0]
		o.queue[0] = nil
		if o.queue = o.queue[1:]; len(o.queue) == 0 {
			o.queue = nil
		}
		if !p.over && p.waiting {
			p.waiting, p.sent = false, time.Now()
			if !p.out {
				p.out = true
				o.out++
			}
			return p
		}
	}
	return nil
}

// restart lets all that is pending go out again, in its order.
func (o *outbox) restart() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue = o.queue[:0]
	for _, p := range o.pending {
		if p.qos == 0 && p.tries > 0 {
			continue // the old connection may still bring its ack
		}
		p.waiting, p.later = true, time.Time{}
		o.answered(p)
		o.queue = append(o.queue, p)
	}
	slices.SortFunc(o.queue, func(a, b *publication) int { return cmp.Compare(a.order, b.order) })
}

// lost tells that the connection is down: what may go out only once has had its chance.
func (o *outbox) lost() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.pending {
		if p.qos == 0 && p.tries > 0 {
			o.settleLocked(p, ErrLost)
		}
	}
}

// tick sends again what has stayed unanswered, or was put off.
func (o *outbox) tick() {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.pending {
		switch {
		case p.waiting:
		case !p.later.IsZero() && now.After(p.later), p.later.IsZero() && now.Sub(p.sent) > o.c.o.AckTimeout:
			if p.qos == 0 {
				o.settleLocked(p, ErrSilent)
				continue
			}
			p.waiting, p.later = true, time.Time{}
			o.queue = append(o.queue, p)
		}
	}
	if len(o.queue) > 0 {
		o.c.wake()
	}
}

func (o *outbox) acked(topic, id []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p := o.pending[pubKey{string(topic), string(id)}]; p != nil {
		o.settleLocked(p, nil)
	}
}

// refused takes a failure: for good, or for now.
func (o *outbox) refused(f *protocol.ServerFrame) {
	err := &protocol.Error{Code: f.Code, Text: f.Text}
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.pending[pubKey{string(f.Topic), string(f.MessageID)}]
	if p == nil {
		return
	}
	if p.qos == 0 || !f.Retryable && !err.Code.Retryable() {
		o.settleLocked(p, err)
		return
	}
	b := backoff{min: o.c.o.BackoffMin, max: o.c.o.BackoffMax, failures: max(0, p.tries-1)}
	p.later = time.Now().Add(b.next(0))
	o.answered(p)
}

// settle ends p with err, unless it has ended.
func (o *outbox) settle(p *publication, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.settleLocked(p, err)
}

func (o *outbox) settleLocked(p *publication, err error) {
	if p.over {
		return
	}
	p.over, p.err = true, err
	delete(o.pending, p.key)
	o.answered(p)
	close(p.done)
	o.release(p)
	if len(o.pending) == 0 && o.empty != nil {
		close(o.empty)
		o.empty = nil
	}
}

// drain waits until nothing is pending, ctx ends or the connection goes down.
func (o *outbox) drain(ctx context.Context) {
	o.mu.Lock()
	if len(o.pending) == 0 {
		o.mu.Unlock()
		return
	}
	if o.empty == nil {
		o.empty = make(chan struct{})
	}
	empty := o.empty
	o.mu.Unlock()
	select {
	case <-empty:
	case <-o.c.down():
	case <-ctx.Done():
	}
}

// quiet is closed when all that went out is answered. No more may go out meanwhile.
func (o *outbox) quiet() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.still == nil {
		o.still = make(chan struct{})
	}
	still := o.still
	o.answered(nil)
	return still
}

// keys names all that is pending.
func (o *outbox) keys() []pubKey {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Keys(o.pending))
}

// answered tells that p, if it is not nil, is no longer out. mu is held.
func (o *outbox) answered(p *publication) {
	if p != nil && p.out {
		p.out = false
		o.out--
	}
	if o.out == 0 && o.still != nil {
		close(o.still)
		o.still = nil
	}
}

// fail ends all that is pending, and all that comes.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	o.err = err
	for _, p := range o.pending {
		o.settleLocked(p, o.err)
	}
}
