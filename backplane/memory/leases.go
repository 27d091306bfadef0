package memory

import (
	"sync"
	"time"
)

// lease is who holds a key, and until when.
type lease struct {
	holder string
	ends   time.Time
}

// leases names holders. Ended ones are thrown out by whoever claims a minute after the last time.
type leases struct {
	now func() time.Time

	mu     sync.Mutex // guards the following
	byKey  map[string]lease
	tidied time.Time
}

func (l *leases) claim(key, value string, ttl time.Duration) (held string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	l.tidy(now)
	if h, ok := l.byKey[key]; ok && now.Before(h.ends) && h.holder != value {
		return h.holder
	}
	l.byKey[key] = lease{value, now.Add(ttl)}
	return value
}

func (l *leases) holder(key string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h, ok := l.byKey[key]; ok && l.now().Before(h.ends) {
		return h.holder
	}
	return ""
}

func (l *leases) release(key, value string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byKey[key].holder == value {
		delete(l.byKey, key)
	}
}

func (l *leases) tidy(now time.Time) {
	if now.Sub(l.tidied) < time.Minute {
		return
	}
	l.tidied = now
	for key, h := range l.byKey {
		if !now.Before(h.ends) {
			delete(l.byKey, key)
		}
	}
}
