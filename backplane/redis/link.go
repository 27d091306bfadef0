package redis

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	retryMin = 50 * time.Millisecond
	retryMax = time.Second

	// lookAround is how often Sentinels or a cluster are asked whether the masters are still the same.
	lookAround = 2 * time.Second
)

var errMoved = errors.New("redis: other servers are masters now")

// link is a node's connections to all the servers that carry channels. It is made and given up as a whole: then there
// is one moment since which something may have been missed, and one since which nothing is.
type link struct {
	lines  []*line
	bySlot []*line // of a Redis Cluster
	broken chan error
	stop   context.CancelFunc
	work   sync.WaitGroup
}

// line is the one that carries a channel.
func (k *link) line(name string) *line {
	if k.bySlot == nil {
		return k.lines[0]
	}
	return k.bySlot[slot(name)]
}

func (k *link) fail(err error) {
	select {
	case k.broken <- err:
	default: // the first fault is the cause
	}
}

// connect opens a line to every server that carries channels.
func (b *Backplane) connect(ctx context.Context) (*link, error) {
	now, err := b.target.resolve(ctx)
	if err != nil {
		return nil, err
	}
	b.master.Store(&now[0].addr)
	k := &link{broken: make(chan error, 1), lines: make([]*line, len(now))}
	faults := make([]error, len(now))
	var opening sync.WaitGroup
	for i, s := range now {
		opening.Go(func() { k.lines[i], faults[i] = b.openLine(ctx, s, k.fail) })
	}
	opening.Wait()
	if err := first(faults); err != nil {
		k.close(err)
		return nil, err
	}
	if b.target.shape == cluster {
		k.bySlot = make([]*line, slots)
		for i, s := range now {
			for _, r := range s.ranges {
				for at := r[0]; at <= r[1]; at++ {
					k.bySlot[at] = k.lines[i]
				}
			}
		}
	}
	watching, stop := context.WithCancel(ctx)
	k.stop = stop
	if b.target.shape != standalone {
		k.work.Go(func() { k.look(watching, b.target, now) })
	}
	return k, nil
}

// look asks now and then whether the same servers are masters.
func (k *link) look(ctx context.Context, t *target, then topology) {
	clock := time.NewTicker(lookAround)
	defer clock.Stop()
	for others := 0; ; {
		select {
		case <-clock.C:
		case <-ctx.Done():
			return
		}
		now, err := t.resolve(ctx)
		switch {
		case err != nil: // the lines themselves say whether Redis is there
		case now.equal(then):
			others = 0
		default:
			if others++; others == 2 { // one may have come from a server that was left behind
				k.fail(errMoved)
			}
		}
	}
}

// close ends every line.
func (k *link) close(cause error) {
	if k.stop != nil {
		k.stop()
	}
	k.work.Wait()
	for _, l := range k.lines {
		if l != nil {
			l.close(cause)
		}
	}
}

// run keeps the link up until ctx is done.
func (b *Backplane) run(ctx context.Context, tried chan<- struct{}) {
	wait := retryMin
	for ctx.Err() == nil {
		k, err := b.connect(ctx)
		if err == nil {
			wait = retryMin
			b.turn(k, nil)
			report(tried)
			select {
			case err = <-k.broken:
			case <-ctx.Done():
				err = errClosed
			}
			b.link.Store(nil)
			b.counts.gaps.Add(1)
			b.note(ctx, err)
			k.close(err)
		} else {
			b.note(ctx, err)
			report(tried)
		}
		if ctx.Err() != nil {
			return
		}
		b.turn(nil, err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		wait = min(2*wait, retryMax)
	}
}

// report says once that a first attempt was made.
func report(tried chan<- struct{}) {
	select {
	case tried <- struct{}{}:
	default:
	}
}

func first(faults []error) error {
	var fault error
	for _, err := range faults {
		if fault == nil || errors.Is(err, errDeaf) {
			if err != nil {
				fault = err
			}
		}
	}
	return fault
}
