package redis

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fastport/fastport/backplane"
)

const (
	// maxUnanswered and maxUnsent bound a publisher's queue in messages and bytes. What is beyond is refused with
	// ErrUnavailable: Redis is then slower than its clients, and a copy that waits is worth less every moment.
	maxUnanswered = 1 << 16
	maxUnsent     = 64 << 20

	// While the answers to a crowd are due, a message waits for them, or for flushDelay, or for flushBytes of company,
	// and leaves with what came meanwhile. With less under way it leaves at once: there is little company to come, and
	// the wait would be longer than the way.
	crowd      = 8
	flushDelay = 75 * time.Microsecond
	flushBytes = 32 << 10

	// keepBytes is the largest buffer that is kept for the next batch.
	keepBytes = 2 << 20
)

var (
	errOverflow = fmt.Errorf("redis: publish: the queue is full: %w", backplane.ErrUnavailable)
	errClosed   = errors.New("redis: closed")
)

// waiter is whose answer is due.
type waiter struct {
	done   func(error)        // of a publish
	answer func(reply, error) // of anything else
}

func (w waiter) finish(r reply, err error) {
	switch {
	case w.answer != nil:
		w.answer(r, err)
	case w.done == nil:
	case err != nil:
		w.done(unavailable("publish", err))
	default:
		w.done(nil)
	}
}

// publisher pipelines commands over one connection: everything that a node sends to one Redis, in the order of the
// calls. One goroutine writes what has gathered, one reads the answers.
type publisher struct {
	conn    *conn
	verb    string // PUBLISH or SPUBLISH, as a command's first two lines
	publish *counts

	wake chan struct{} // something waits to be sent
	idle chan struct{} // the last answer has come
	full chan struct{} // flushBytes wait to be sent

	mu      sync.Mutex // guards the following
	unsent  []byte
	fresh   int      // how many of waiting are in unsent
	waiting []waiter // in the order of their answers; from first on
	first   int
	since   uint64 // tick of the last answer, or of the first message with nothing due
	tick    uint64
	dead    error
}

func newPublisher(c *conn, verb string, counts *counts) *publisher {
	return &publisher{conn: c, verb: string(appendBulk([]byte("*3\r\n"), verb)), publish: counts,
		wake: make(chan struct{}, 1), idle: make(chan struct{}, 1), full: make(chan struct{}, 1)}
}

// send queues a message on a channel: head appends what stands before data.
func (p *publisher) send(channel string, head func([]byte) []byte, data []byte, w waiter) {
	p.mu.Lock()
	err := p.room(len(data))
	if err == nil {
		var room [512]byte
		b := append(p.unsent, p.verb...)
		b = appendBulk(b, channel)
		h := head(room[:0])
		b = appendHead(b, '$', len(h)+len(data))
		p.unsent = append(append(append(b, h...), data...), '\r', '\n')
		p.publish.published.Add(1)
		p.queue(w)
	}
	p.mu.Unlock()
	if err != nil {
		w.finish(reply{}, err)
	}
}

// ask queues any other command.
func (p *publisher) ask(answer func(reply, error), args ...string) {
	p.mu.Lock()
	err := p.room(0)
	if err == nil {
		p.unsent = appendCommand(p.unsent, args...)
		p.queue(waiter{answer: answer})
	}
	p.mu.Unlock()
	if err != nil {
		answer(reply{}, err)
	}
}

// room says why nothing more can be queued. mu is held.
func (p *publisher) room(size int) error {
	switch {
	case p.dead != nil:
		return p.dead
	case len(p.waiting)-p.first >= maxUnanswered || len(p.unsent) > 0 && len(p.unsent)+size > maxUnsent:
		p.publish.refused.Add(1)
		return errOverflow
	}
	return nil
}

// queue has w wait for the answer to what was just appended. mu is held.
func (p *publisher) queue(w waiter) {
	if p.first == len(p.waiting) {
		p.since = p.tick
	}
	p.waiting = append(p.waiting, w)
	if p.fresh++; p.fresh == 1 {
		signal(p.wake)
	}
	if len(p.unsent) >= flushBytes {
		signal(p.full)
	}
}

// write sends what gathers, until the connection breaks or stop is closed.
func (p *publisher) write(stop <-chan struct{}) error {
	delay := time.NewTimer(time.Hour)
	defer delay.Stop()
	var batch []byte
	for {
		select {
		case <-p.wake:
		case <-stop:
			return errClosed
		}
		if p.due() {
			delay.Reset(flushDelay)
			select {
			case <-delay.C:
			case <-p.idle:
			case <-p.full:
			case <-stop:
				return errClosed
			}
		}
		p.mu.Lock()
		batch, p.unsent = p.unsent, batch[:0]
		p.fresh = 0
		p.mu.Unlock()
		p.conn.SetWriteDeadline(time.Now().Add(answerPatience))
		if _, err := p.conn.Write(batch); err != nil {
			return err
		}
		p.publish.sentBytes.Add(uint64(len(batch)))
		if cap(batch) > keepBytes {
			batch = nil
		}
	}
}

// due reports whether waiting for company is worth while: many answers are due that will bring some, and little is there.
func (p *publisher) due() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select { // both tell of the past
	case <-p.idle:
	case <-p.full:
	default:
	}
	return len(p.waiting)-p.first-p.fresh >= crowd && len(p.unsent) < flushBytes
}

// read takes the answers in until the connection breaks.
func (p *publisher) read() error {
	for {
		r, err := p.conn.read()
		if err != nil {
			return err
		}
		w, ok := p.answered()
		if !ok {
			return fmt.Errorf("redis: an answer of type %q that nothing asked for", r.kind)
		}
		w.finish(r, r.err())
	}
}

func (p *publisher) answered() (waiter, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting)-p.first <= p.fresh {
		return waiter{}, false
	}
	w := p.waiting[p.first]
	p.waiting[p.first] = waiter{}
	p.first++
	p.since = p.tick
	if len(p.waiting)-p.first == p.fresh {
		signal(p.idle)
	}
	if p.first >= 1024 && p.first*2 >= len(p.waiting) { // half of it is history
		p.waiting = append(p.waiting[:0], p.waiting[p.first:]...)
		p.first = 0
	} else if p.first == len(p.waiting) {
		p.waiting, p.first = p.waiting[:0], 0
	}
	return w, true
}

// pass counts a tick and reports for how many the oldest message has waited for its answer.
func (p *publisher) pass() (waited uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tick++
	if p.first == len(p.waiting) {
		return 0
	}
	return p.tick - p.since
}

// end refuses all that waits and all that comes.
func (p *publisher) end(err error) {
	p.mu.Lock()
	waiting := p.waiting[p.first:]
	p.waiting, p.first, p.unsent, p.fresh, p.dead = nil, 0, nil, 0, err
	p.mu.Unlock()
	for _, w := range waiting {
		w.finish(reply{}, err)
	}
}

// signal leaves a word in a channel of one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// unavailable wraps what went wrong as what callers look for.
func unavailable(verb string, err error) error {
	if errors.Is(err, backplane.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("redis: %s: %w: %w", verb, backplane.ErrUnavailable, err)
}
