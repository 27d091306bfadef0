package memory

import (
	"sync"
	"time"
)

// maxKeys bounds the counters. Beyond it an arbitrary one is forgotten: a flood of keys costs its sender's own
// limits some sharpness, and never memory.
const maxKeys = 1 << 20

// window is one key's count and when it ends.
type window struct {
	total int64
	ends  time.Time
}

// counters counts in windows. Ended ones are thrown out by whoever comes a minute after the last time.
type counters struct {
	now func() time.Time

	mu      sync.Mutex // guards the following
	windows map[string]window
	tidied  time.Time
}

func (c *counters) add(key string, n int64, length time.Duration) (total int64, left time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	c.tidy(now)
	w, ok := c.windows[key]
	if ok = ok && now.Before(w.ends); !ok {
		if n == 0 {
			return 0, 0
		}
		w = window{ends: now.Add(length)}
	}
	w.total += n
	c.windows[key] = w
	return w.total, w.ends.Sub(now)
}

func (c *counters) reset(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.windows, key)
}

func (c *counters) tidy(now time.Time) {
	if now.Sub(c.tidied) >= time.Minute {
		c.tidied = now
		for key, w := range c.windows {
			if !now.Before(w.ends) {
				delete(c.windows, key)
			}
		}
	}
	if len(c.windows) < maxKeys {
		return
	}
	for key := range c.windows {
		delete(c.windows, key)
		return
	}
}
