package session

import (
	"context"
	"sync"

	"github.com/fastport/fastport/storage"
)

// turn names what is done by one goroutine at a time: the attachments of one durable subscriber.
type turn struct {
	session    string
	subscriber storage.Subscriber
}

// turns are locks by name that are held across calls of the store and waited for with a context. Only those that
// somebody holds or waits for take memory.
type turns struct {
	mu    sync.Mutex // guards the following
	taken map[turn]*queue
}

type queue struct {
	free    chan struct{}
	waiting int
}

// take waits for its turn; done passes it on.
func (l *turns) take(ctx context.Context, name turn) (done func(), err error) {
	l.mu.Lock()
	q := l.taken[name]
	if q == nil {
		if l.taken == nil {
			l.taken = map[turn]*queue{}
		}
		q = &queue{free: make(chan struct{}, 1)}
		q.free <- struct{}{}
		l.taken[name] = q
	}
	q.waiting++
	l.mu.Unlock()

	leave := func() {
		l.mu.Lock()
		if q.waiting--; q.waiting == 0 {
			delete(l.taken, name)
		}
		l.mu.Unlock()
	}
	select {
	case <-q.free:
		return func() { q.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// held reports whether somebody holds or waits for a turn.
func (l *turns) held(name turn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken[name] != nil
}
