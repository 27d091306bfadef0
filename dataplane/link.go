package dataplane

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/fastport/fastport/session"
)

// link is one end of a stream: a queue of what is to go out on it.
type link struct {
	ctx   context.Context // ends with the link
	abort context.CancelFunc

	mu     sync.Mutex    // guards the following
	wake   chan struct{} // something was queued, or the link closed
	queue  []part
	bytes  int // not sent yet; over maxQueue the link ends
	closed bool
}

// part is a piece of a frame.
type part struct {
	b    []byte
	done func() // nil, or called once nobody reads b any more
}

var _ session.Link = (*link)(nil)

var errStopped = errors.New("dataplane: nobody reads this any more")

func (p *part) call() {
	if p.done != nil {
		p.done()
	}
}

func newLink(ctx context.Context) *link {
	l := &link{wake: make(chan struct{}, 1)}
	l.ctx, l.abort = context.WithCancel(ctx)
	return l
}

// Send queues a frame.
func (l *link) Send(head, body []byte, done func()) bool {
	size := len(head) + len(body)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.ctx.Err() != nil {
		return false
	}
	if size > maxFrame || l.bytes+size > maxQueue {
		l.abort()
		return false
	}
	first := append(appendHeader(make([]byte, 0, headerSize+len(head)), size), head...)
	l.queue = append(l.queue, part{b: first})
	if len(body) > 0 || done != nil {
		l.queue = append(l.queue, part{body, done})
	}
	l.bytes += headerSize + size
	l.notify()
	return true
}

// Close ends the link once what is queued has gone out, or has had its time to.
func (l *link) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		l.notify()
		linger := time.AfterFunc(lingerTime, l.abort)
		context.AfterFunc(l.ctx, func() { linger.Stop() })
	}
}

func (l *link) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// take waits for something to send, until stop. io.EOF: all of a closed link is sent.
func (l *link) take(stop <-chan struct{}) ([]part, error) {
	for {
		l.mu.Lock()
		batch, closed := l.queue, l.closed
		l.queue = nil
		l.mu.Unlock()
		switch {
		case l.ctx.Err() != nil:
			return nil, context.Cause(l.ctx)
		case len(batch) > 0:
			return batch, nil
		case closed:
			return nil, io.EOF
		}
		select {
		case <-l.wake:
		case <-stop:
			return nil, errStopped
		case <-l.ctx.Done():
		}
	}
}

// sent makes room in the queue.
func (l *link) sent(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes -= n
}

// pump writes what is queued until the link ends.
func (l *link) pump(w io.Writer, flush func() error) {
	for {
		batch, err := l.take(nil)
		if err != nil {
			return
		}
		for _, p := range batch {
			// A write that fails may leave somebody who still reads: then done is not called.
			if _, err := w.Write(p.b); err != nil {
				l.abort()
				return
			}
			l.sent(len(p.b))
			p.call()
		}
		if flush() != nil {
			l.abort()
			return
		}
	}
}

// body is the same for whoever reads it instead.
func (l *link) body() io.ReadCloser { return &body{l: l, stop: make(chan struct{})} }

type body struct {
	l     *link
	batch []part
	once  sync.Once
	stop  chan struct{}
}

func (b *body) Read(p []byte) (n int, err error) {
	if len(b.batch) == 0 {
		if b.batch, err = b.l.take(b.stop); err != nil {
			return 0, err
		}
	}
	for n < len(p) && len(b.batch) > 0 {
		next := &b.batch[0]
		took := copy(p[n:], next.b)
		n += took
		if next.b = next.b[took:]; len(next.b) == 0 {
			next.call()
			b.batch = b.batch[1:]
		}
	}
	b.l.sent(n)
	return n, nil
}

// Close ends a Read that waits: the other end is gone, and the client of HTTP/2 tells nobody of it before its own part
// has returned.
func (b *body) Close() error {
	b.once.Do(func() { close(b.stop) })
	return nil
}
