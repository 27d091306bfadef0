package client

import (
	"sync"
	"time"
)

// clock is the server's, as far as is known. It goes on by the monotonic clock, so that nobody who sets this device's
// time changes it.
type clock struct {
	mu     sync.Mutex // guards the following
	server time.Time
	at     time.Time // ours when it was that
}

func (k *clock) set(serverMs int64) {
	if serverMs <= 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.server, k.at = time.UnixMilli(serverMs), time.Now()
}

func (k *clock) now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.at.IsZero() {
		return time.Now()
	}
	return k.server.Add(time.Since(k.at))
}
