package client

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is a pause that doubles with each failure, of which a random part is waited (full jitter): clients that were
// cut off together come back spread out.
type backoff struct {
	min, max time.Duration
	failures int
}

// next is the next pause, at least least long before the jitter.
func (b *backoff) next(least time.Duration) time.Duration {
	whole := b.max
	if shifted := b.min << b.failures; b.failures < 32 && shifted>>b.failures == b.min && shifted < b.max {
		whole = shifted
	}
	b.failures++
	return jitter(max(whole, least))
}

func (b *backoff) reset() { b.failures = 0 }

// jitter is a random part of d.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// pause waits for d. False: ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
