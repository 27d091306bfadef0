package session

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	pulseEvery = 250 * time.Millisecond
	// stillAfter is how long no beat must have come for the process to have stood still.
	stillAfter = int64(copyStale)
	// stillFor is how long after that what waited in the sockets meanwhile may still be read.
	stillFor = int64(5 * time.Second)
)

// pulse knows whether the process has stood still: stopped by a signal, on a machine that slept, or without any time on
// a processor. What its clients sent before that they may have sent through other nodes since.
type pulse struct {
	last  atomic.Int64 // the last beat, by the node's clock
	still atomic.Int64 // when the process was last found to have stood still; 0: never
}

// run beats until ctx is done.
func (p *pulse) run(ctx context.Context, clock func() int64) {
	p.last.Store(clock())
	t := time.NewTicker(pulseEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.beat(clock())
		case <-ctx.Done():
			return
		}
	}
}

func (p *pulse) beat(now int64) {
	p.stoodStill(now)
	p.last.Store(now)
}

// stoodStill reports whether the process has stood still until just now. It does not rely on a beat since: what was in
// the sockets may be read before the next one.
func (p *pulse) stoodStill(now int64) bool {
	if last := p.last.Load(); last != 0 && now-last > stillAfter {
		p.still.Store(now)
		return true
	}
	still := p.still.Load()
	return still != 0 && now-still < stillFor
}
