package redis

import (
	"sync"
	"sync/atomic"
	"time"
)

// sampleLife is how long a measurement is the best one: clocks drift by some 50 µs in a second at worst.
const sampleLife = time.Minute

// clock translates between this process's monotonic clock and the clock of one Redis.
//
// Redis says its TIME somewhere between a question and its answer, so each round trip gives bounds for the offset, and
// the quickest one the narrowest. A measurement outside of the bounds means that a clock was set: it alone counts then.
type clock struct {
	base   time.Time    // with its monotonic reading, so that a step of the wall clock changes nothing
	offset atomic.Int64 // µs to add to the time since base

	mu    sync.Mutex // guards the following
	known bool
	low   int64 // bounds of the offset
	high  int64
	at    time.Duration // since base
}

func newClock() *clock { return &clock{base: time.Now()} }

// now is the time since base.
func (c *clock) now() time.Duration { return time.Since(c.base) }

// learn takes one round trip: asked and answered by now, and what Redis said in µs.
func (c *clock) learn(asked, answered time.Duration, said int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	low, high := said-answered.Microseconds()-1, said-asked.Microseconds()+1
	narrower := high-low <= c.high-c.low
	apart := low > c.high || high < c.low
	if c.known && !narrower && !apart && answered-c.at < sampleLife {
		return
	}
	c.known, c.low, c.high, c.at = true, low, high, answered
	c.offset.Store(low + (high-low)/2)
}

// stamp is the time by Redis's clock, in µs since 1970.
func (c *clock) stamp() int64 { return c.now().Microseconds() + c.offset.Load() }

// local is when it was that by Redis's clock, on this process's clock.
func (c *clock) local(stamp int64) time.Time {
	return c.base.Add(time.Duration(stamp-c.offset.Load()) * time.Microsecond)
}
