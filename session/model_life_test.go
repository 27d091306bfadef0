package session_test

import (
	"context"
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

// life is a process's hold on the store: after end nothing of that process reaches it, and no answer comes back. What
// was under way may have committed or not, as with kill -9.
type life struct {
	storage.Store
	mu   sync.RWMutex
	over bool
}

func (l *life) end() { l.mu.Lock(); l.over = true; l.mu.Unlock() }

func (l *life) dead() bool { l.mu.RLock(); defer l.mu.RUnlock(); return l.over }

func (l *life) Append(ctx context.Context, g []storage.Entry) ([]storage.Appended, string, error) {
	if l.dead() {
		return nil, "", storage.ErrUnavailable
	}
	time.Sleep(300 * time.Microsecond) // a commit takes its time: publishes in flight together are what is tested
	if l.dead() {
		return nil, "", storage.ErrUnavailable
	}
	return l.Store.Append(ctx, g)
}

func (l *life) Subscribe(ctx context.Context, s storage.Subscriber, t storage.Topic, attach bool) (storage.Subscription, error) {
	if l.dead() {
		return storage.Subscription{}, storage.ErrUnavailable
	}
	return l.Store.Subscribe(ctx, s, t, attach)
}

func (l *life) Unsubscribe(ctx context.Context, s storage.Subscriber, t storage.Topic) error {
	if l.dead() {
		return storage.ErrUnavailable
	}
	return l.Store.Unsubscribe(ctx, s, t)
}

func (l *life) Attach(ctx context.Context, session string, s storage.Subscriber, bump bool) ([]storage.Subscription, error) {
	if l.dead() {
		return nil, storage.ErrUnavailable
	}
	return l.Store.Attach(ctx, session, s, bump)
}

func (l *life) Settle(ctx context.Context, b []storage.Settlement) ([]storage.Subscription, error) {
	if l.dead() {
		return nil, storage.ErrUnavailable
	}
	return l.Store.Settle(ctx, b)
}

func (l *life) Read(ctx context.Context, t storage.Topic, after uint64, limit, bytes int) (storage.Page, error) {
	if l.dead() {
		return storage.Page{}, storage.ErrUnavailable
	}
	time.Sleep(200 * time.Microsecond)
	return l.Store.Read(ctx, t, after, limit, bytes)
}

func (l *life) Sweep(ctx context.Context) (storage.Swept, error) {
	if l.dead() {
		return storage.Swept{}, storage.ErrUnavailable
	}
	return l.Store.Sweep(ctx)
}

// Stores with one planted fault each: the checker must catch every one.

// oneAckForAll settles a message for every subscriber that is told of in the batch's topic.
type oneAckForAll struct {
	storage.Store
	mu   sync.Mutex
	subs map[storage.Topic]map[storage.Subscriber]int64
}

func (f *oneAckForAll) Subscribe(ctx context.Context, s storage.Subscriber, t storage.Topic, attach bool) (storage.Subscription, error) {
	sub, err := f.Store.Subscribe(ctx, s, t, attach)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.subs == nil {
		f.subs = map[storage.Topic]map[storage.Subscriber]int64{}
	}
	if f.subs[t] == nil {
		f.subs[t] = map[storage.Subscriber]int64{}
	}
	f.subs[t][s] = sub.Attach
	return sub, err
}

func (f *oneAckForAll) Settle(ctx context.Context, batch []storage.Settlement) ([]storage.Subscription, error) {
	f.mu.Lock()
	var more []storage.Settlement
	for _, b := range batch {
		for s := range f.subs[b.Topic] {
			if s != b.Subscriber {
				more = append(more, storage.Settlement{Subscriber: s, Topic: b.Topic, Acked: b.Acked})
			}
		}
	}
	f.mu.Unlock()
	if _, err := f.Store.Settle(ctx, more); err != nil {
		return nil, err
	}
	return f.Store.Settle(ctx, batch)
}

// skippingCursor settles the message after an acked one too.
type skippingCursor struct{ storage.Store }

func (f *skippingCursor) Settle(ctx context.Context, batch []storage.Settlement) ([]storage.Subscription, error) {
	for i := range batch {
		if n := len(batch[i].Acked); n > 0 {
			batch[i].Acked = batch[i].Acked.Clone()
			batch[i].Acked[n-1].Hi++
		}
	}
	return f.Store.Settle(ctx, batch)
}

// forgetfulCursor loses one settlement in four.
type forgetfulCursor struct {
	storage.Store
	mu sync.Mutex
	n  int
}

func (f *forgetfulCursor) Settle(ctx context.Context, batch []storage.Settlement) ([]storage.Subscription, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range batch {
		if f.n++; f.n%4 == 0 {
			batch[i].Acked, batch[i].GivenUp = nil, nil
		}
	}
	return f.Store.Settle(ctx, batch)
}

// lyingAppend says that every fiftieth message was stored, and does not.
type lyingAppend struct {
	storage.Store
	mu sync.Mutex
	n  int
}

func (f *lyingAppend) Append(ctx context.Context, group []storage.Entry) ([]storage.Appended, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if f.n%50 != 0 {
		return f.Store.Append(ctx, group)
	}
	out := make([]storage.Appended, len(group))
	for i := range out {
		out[i] = storage.Appended{Outcome: storage.NotStored}
	}
	_, epoch, err := f.Store.Heads(ctx, nil)
	return out, epoch, err
}

// forgetfulIDs takes every repeat for a new message.
type forgetfulIDs struct{ storage.Store }

func (f *forgetfulIDs) Append(ctx context.Context, group []storage.Entry) ([]storage.Appended, string, error) {
	res, epoch, err := f.Store.Append(ctx, group)
	for i := range res {
		if res[i].Outcome == storage.Repeat {
			e := group[i]
			e.MessageID += "'"
			again, _, err := f.Store.Append(ctx, []storage.Entry{e})
			if err == nil && again[0].Outcome == storage.Stored {
				res[i] = again[0]
			}
		}
	}
	return res, epoch, err
}
