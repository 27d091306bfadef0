package redis

import (
	"sync"
	"time"
)

// canary finds out whether what is published comes back: each second a message goes out on a hidden channel of this
// node's own, by the way of every other message. Its patience is counted in ticks, not by the clock: a process that
// was frozen has not waited.
type canary struct {
	name  string
	clock *clock

	mu       sync.Mutex // guards the following
	number   uint64     // of the last one sent
	sent     time.Duration
	answered uint64 // the last one that Redis took
	echoed   uint64 // the last one that came back
	owed     int    // ticks since one that Redis took is due
}

// next is the number of the one that goes out now.
func (c *canary) next() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.number++
	c.sent = c.clock.now()
	return c.number
}

// taken: Redis has answered for it.
func (c *canary) taken(number uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = max(c.answered, number)
}

// back: it has come back. took is how long the newest took, 0 for an older one.
func (c *canary) back(number uint64) (took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.echoed, c.owed = max(c.echoed, number), 0
	if number == c.number {
		took = c.clock.now() - c.sent
	}
	return took
}

// pass counts a tick and reports for how many one has been due.
func (c *canary) pass() (owed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answered > c.echoed {
		c.owed++
	}
	return c.owed
}
