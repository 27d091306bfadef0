package session

import (
	"context"
	"sync"
	"time"

	"github.com/fastport/fastport/storage"
)

// attendance tells the backplane which durable subscribers have connections here. Changes are written by one
// goroutine, the newest number of each only; a login writes its own before it goes on, so that the next node to ask
// finds it.
type attendance struct {
	node *Node
	wake chan struct{}

	mu    sync.Mutex // guards the following
	queue map[present]struct{}
}

type present struct {
	tenant *tenant
	key    storage.Subscriber
}

// changed queues numbers to be written.
func (a *attendance) changed(t *tenant, keys []storage.Subscriber) {
	if len(keys) == 0 {
		return
	}
	a.mu.Lock()
	if a.queue == nil {
		a.queue = map[present]struct{}{}
	}
	for _, key := range keys {
		a.queue[present{t, key}] = struct{}{}
	}
	a.mu.Unlock()
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// run writes until ctx is done.
func (a *attendance) run(ctx context.Context) {
	for {
		select {
		case <-a.wake:
		case <-ctx.Done():
			return
		}
		a.mu.Lock()
		queue := a.queue
		a.queue = nil
		a.mu.Unlock()
		a.carry(ctx, queue)
		for p := range queue {
			done, err := a.node.turns.take(ctx, turn{p.tenant.id, p.key})
			if err != nil {
				return
			}
			a.write(ctx, p.tenant, p.key)
			done()
		}
	}
}

// carry takes to the store what those that are gone have settled: whoever is present nowhere is taken over from nobody.
func (a *attendance) carry(ctx context.Context, queue map[present]struct{}) {
	for p := range queue {
		if s := p.tenant.known(p.key); s != nil && s.connected.Load() == 0 && s.unflushed.Load() > 0 {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if err := a.node.cursors.flush(ctx); err != nil {
				a.node.log.Debug("settled ranges wait", "error", err)
			}
			return
		}
	}
}

// write writes a number now. The subscriber's turn is held, so that an older number never comes last.
func (a *attendance) write(ctx context.Context, t *tenant, key storage.Subscriber) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	t.mu.RLock()
	number := t.present[key]
	t.mu.RUnlock()
	if err := a.node.bus.SetPresence(ctx, t.id, string(key), number); err != nil {
		a.node.log.Debug("presence was not written", "error", err)
	}
}
