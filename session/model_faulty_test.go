package session_test

import (
	"context"
	"sync"

	"github.com/fastport/fastport/storage"
)

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
