package session_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
)

func newCatalog(s storage.Store, c backplane.Control) *session.Catalog {
	return session.NewCatalog(session.CatalogConfig{Store: s, Control: c})
}

// createSession makes a session whose messages expire after expiry, 0 for the server's cap.
func createSession(c *session.Catalog, name string, expiry time.Duration) error {
	spec := session.NewSpec(name, "password")
	spec.MessageExpiry, spec.MaxRetryLimit = expiry, 10_000
	_, err := c.Create(context.Background(), spec)
	return err
}

// weather is what all nodes suffer from the one store.
type weather struct {
	mu      sync.Mutex // guards the following
	rng     *rand.Rand
	slow    time.Duration // every call takes up to so long
	failing bool          // and none does anything
	untold  bool          // an append may commit and say nothing
	cleared time.Time     // when it was last fair again
}

func (w *weather) set(change func(w *weather)) { w.mu.Lock(); change(w); w.mu.Unlock() }

// fair reports whether the store has worked well for so long.
func (w *weather) fair(since time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.slow == 0 && !w.failing && !w.untold && time.Since(w.cleared) > since
}

// delay is how long a call takes, and whether it works.
func (w *weather) delay(least time.Duration) (d time.Duration, fails, untold bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.slow > 0 {
		least += time.Duration(w.rng.Int64N(int64(w.slow)))
	}
	return least, w.failing, w.untold && w.rng.IntN(4) == 0
}

// life is a process's hold on the store: after end nothing of that process reaches it, and no answer comes back. What
// was under way may have committed or not, as with kill -9. While the process stands still, so does all of it.
type life struct {
	storage.Store
	weather *weather
	plane   *plane
	check   *checker
	mu      sync.RWMutex
	over    bool
}

func (l *life) end() { l.mu.Lock(); l.over = true; l.mu.Unlock() }

func (l *life) dead() bool { l.mu.RLock(); defer l.mu.RUnlock(); return l.over }

// before is the way to the store, which takes its time; after is the way back.
func (l *life) before(ctx context.Context, takes time.Duration) error {
	l.plane.running()
	takes, fails, _ := l.weather.delay(takes)
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
		}
	}
	return l.after(ctx, fails)
}

func (l *life) after(ctx context.Context, fails bool) error {
	l.plane.running()
	if l.dead() || fails || ctx.Err() != nil {
		return storage.ErrUnavailable
	}
	return nil
}

const (
	commitTakes = 300 * time.Microsecond // publishes in flight together are what is tested
	readTakes   = 200 * time.Microsecond
)

func (l *life) Append(ctx context.Context, g []storage.Entry) ([]storage.Appended, string, error) {
	if err := l.before(ctx, commitTakes); err != nil {
		return nil, "", err
	}
	r, epoch, err := l.check.commit(l.plane.id, g, func() ([]storage.Appended, string, error) { return l.Store.Append(ctx, g) })
	_, _, untold := l.weather.delay(0)
	if lost := l.after(ctx, untold); lost != nil {
		return nil, "", lost
	}
	return r, epoch, err
}

func (l *life) Subscribe(ctx context.Context, s storage.Subscriber, t storage.Topic, attach bool) (storage.Subscription, error) {
	if err := l.before(ctx, 0); err != nil {
		return storage.Subscription{}, err
	}
	return l.Store.Subscribe(ctx, s, t, attach)
}

func (l *life) Unsubscribe(ctx context.Context, s storage.Subscriber, t storage.Topic) error {
	if err := l.before(ctx, 0); err != nil {
		return err
	}
	return l.Store.Unsubscribe(ctx, s, t)
}

func (l *life) Attach(ctx context.Context, session string, s storage.Subscriber, bump bool) ([]storage.Subscription, error) {
	if err := l.before(ctx, 0); err != nil {
		return nil, err
	}
	return l.Store.Attach(ctx, session, s, bump)
}

func (l *life) Settle(ctx context.Context, b []storage.Settlement) ([]storage.Subscription, error) {
	if err := l.before(ctx, 0); err != nil {
		return nil, err
	}
	rows, err := l.Store.Settle(ctx, b)
	if err == nil {
		for i := range b {
			l.check.flushed(l.plane.id, &b[i], rows[i])
		}
	}
	if lost := l.after(ctx, false); lost != nil {
		return nil, lost
	}
	return rows, err
}

func (l *life) Read(ctx context.Context, t storage.Topic, after uint64, limit, bytes int) (storage.Page, error) {
	if err := l.before(ctx, readTakes); err != nil {
		return storage.Page{}, err
	}
	p, err := l.Store.Read(ctx, t, after, limit, bytes)
	if lost := l.after(ctx, false); lost != nil {
		return storage.Page{}, lost
	}
	return p, err
}

func (l *life) Heads(ctx context.Context, t []storage.Topic) ([]uint64, string, error) {
	if err := l.before(ctx, 0); err != nil {
		return nil, "", err
	}
	return l.Store.Heads(ctx, t)
}

func (l *life) Sweep(ctx context.Context) (storage.Swept, error) {
	if err := l.before(ctx, 0); err != nil {
		return storage.Swept{}, err
	}
	return l.Store.Sweep(ctx)
}
