package session

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/fastport/fastport/storage"
)

const (
	settleBatch   = 512
	settleTimeout = 5 * time.Second
	settlePause   = 100 * time.Millisecond // between two last tries
)

// cursors carry settled ranges to the store in batches: every FlushEvery, when a connection goes, and at the end.
type cursors struct {
	node *Node
	turn chan struct{} // holds a token while nobody flushes
	kick chan struct{} // asks run for a flush now

	mu    sync.Mutex // guards the following
	dirty []*subscription
}

func newCursors(n *Node) *cursors {
	c := &cursors{node: n, turn: make(chan struct{}, 1), kick: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	return c
}

// add takes a subscription that has something to settle. Its mu is held.
func (c *cursors) add(s *subscription) {
	c.mu.Lock()
	c.dirty = append(c.dirty, s)
	c.mu.Unlock()
}

// soon asks for a flush without waiting for it.
func (c *cursors) soon() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// run flushes until ctx is done, and once more then.
func (c *cursors) run(ctx context.Context) {
	tick := time.NewTicker(c.node.cfg.FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.kick:
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
			defer cancel()
			if err := c.flushLast(last); err != nil {
				c.node.log.Warn("settled ranges lost at the end: their messages will come again", slog.Any("error", err))
			}
			return
		}
		if err := c.flush(ctx); err != nil && ctx.Err() == nil {
			c.node.log.Warn("settle failed, will be repeated", slog.Any("error", err))
		}
	}
}

// flushLast is flush until it succeeds, or ctx is done: nobody else has what was settled here.
func (c *cursors) flushLast(ctx context.Context) (err error) {
	for {
		if err = c.flush(ctx); err == nil {
			return nil
		}
		select {
		case <-time.After(settlePause):
		case <-ctx.Done():
			return err
		}
	}
}

// flush carries what was settled before the call to the store. After an error it is still here.
func (c *cursors) flush(ctx context.Context) error {
	select {
	case <-c.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { c.turn <- struct{}{} }()

	c.mu.Lock()
	dirty := c.dirty
	c.dirty = nil
	c.mu.Unlock()
	for len(dirty) > 0 {
		part := dirty[:min(len(dirty), settleBatch)]
		if err := c.settle(ctx, part); err != nil {
			c.mu.Lock()
			c.dirty = append(c.dirty, dirty...)
			c.mu.Unlock()
			return err
		}
		dirty = dirty[len(part):]
	}
	return nil
}

func (c *cursors) settle(ctx context.Context, part []*subscription) error {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	batch := make([]storage.Settlement, len(part))
	for i, s := range part {
		s.mu.Lock()
		batch[i] = storage.Settlement{Subscriber: s.subscriber.key, Topic: s.topic, Acked: s.acked, GivenUp: s.givenUp,
			Attach: s.attach, Epoch: s.epoch}
		s.acked, s.givenUp = nil, nil
		s.mu.Unlock()
	}
	asked := c.node.clock()
	rows, err := c.node.store.Settle(ctx, batch)
	for i, s := range part {
		s.mu.Lock()
		if err != nil {
			if s.epoch == batch[i].Epoch {
				s.acked = s.acked.Union(batch[i].Acked)
				s.givenUp = s.givenUp.Union(batch[i].GivenUp)
			}
			s.mu.Unlock()
			continue
		}
		s.read = asked
		again := len(s.acked)+len(s.givenUp) > 0
		if s.listed = again; again {
			c.add(s)
		} else {
			s.subscriber.unflushed.Add(-1)
		}
		s.mu.Unlock()
		c.learn(s, rows[i])
	}
	return err
}

// learn looks at the merged row.
func (c *cursors) learn(s *subscription, row storage.Subscription) {
	c.node.observe(row.Epoch)
	switch {
	case row.Attach == 0:
		c.node.begin(func(ctx context.Context) { s.subscriber.tenant.lost(ctx, s) })
	case row.Attach > s.attached() && s.subscriber.client():
		// Another node serves this client by now, and its word did not get here; unless this one is about to.
		c.node.begin(func(ctx context.Context) {
			done, err := c.node.turns.take(ctx, turn{s.subscriber.tenant.id, s.subscriber.key})
			if err != nil {
				return
			}
			defer done()
			if row.Attach > s.attached() {
				s.subscriber.tenant.takenOver(s.subscriber)
			}
		})
	case c.node.agrees(row.Epoch) && !s.union(row):
		// What it knew was of a history that is over, and was not taken. Now it knows the row, and its feed starts there.
		if t := s.subscriber.tenant.find(s.topic.Name); t != nil {
			c.node.rewindTo(t, s, row)
		} else {
			s.restart(row)
		}
	case s.subscriber.scattered():
		for _, conn := range s.subscriber.tenant.connsOf(s.subscriber) {
			conn.ring(c.node.clock()) // what waited for this word
		}
	}
}
