package gateway

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// addressLimits counts the connections of each address, and how fast they come.
type addressLimits struct {
	perAddr int // 0: off
	rate    int // a second; 0: off
	burst   int
	seed    maphash.Seed
	shards  [16]addressShard
}

type addressShard struct {
	mu    sync.Mutex // guards the following
	usage map[netip.Addr]*usage
}

type usage struct {
	open   int
	tokens float64
	filled time.Time
}

func newAddressLimits(perAddr, rate, burst int) *addressLimits {
	l := &addressLimits{perAddr: perAddr, rate: rate, burst: burst, seed: maphash.MakeSeed()}
	for i := range l.shards {
		l.shards[i].usage = make(map[netip.Addr]*usage)
	}
	return l
}

// network is what counts as one address: whoever has one address of IPv6 has 2^64 of them.
func network(addr netip.Addr) netip.Addr {
	if addr.Is4() || !addr.IsValid() {
		return addr
	}
	p, _ := addr.Prefix(64)
	return p.Addr()
}

func (l *addressLimits) shard(key netip.Addr) *addressShard {
	return &l.shards[maphash.Comparable(l.seed, key)%uint64(len(l.shards))]
}

// take counts one more connection of addr, or says which limit refuses it. Each success wants one release.
func (l *addressLimits) take(addr netip.Addr, now time.Time) (refused reason, ok bool) {
	if l.perAddr == 0 && l.rate == 0 {
		return 0, true
	}
	key := network(addr)
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.usage[key]
	if u == nil {
		u = &usage{tokens: float64(l.burst), filled: now}
		s.usage[key] = u
	}
	if l.perAddr > 0 && u.open >= l.perAddr {
		return rejectAddress, false
	}
	if l.rate > 0 {
		l.refill(u, now)
		if u.tokens < 1 {
			return rejectRate, false
		}
		u.tokens--
	}
	u.open++
	return 0, true
}

func (l *addressLimits) release(addr netip.Addr) {
	if l.perAddr == 0 && l.rate == 0 {
		return
	}
	key := network(addr)
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.usage[key]; u != nil && u.open > 0 {
		u.open--
		// With a rate the entry must outlive the connection until its bucket is full again: see forget.
		if u.open == 0 && l.rate == 0 {
			delete(s.usage, key)
		}
	}
}

// forget drops the addresses that have neither connections nor a debt.
func (l *addressLimits) forget(now time.Time) {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		for key, u := range s.usage {
			l.refill(u, now)
			if u.open == 0 && u.tokens >= float64(l.burst) {
				delete(s.usage, key)
			}
		}
		s.mu.Unlock()
	}
}

func (l *addressLimits) refill(u *usage, now time.Time) {
	u.tokens = min(float64(l.burst), u.tokens+now.Sub(u.filled).Seconds()*float64(l.rate))
	u.filled = now
}

// meter bounds what one connection sends. Owned by the connection's reader.
type meter struct {
	frames, bytes         float64 // tokens
	frameRate, byteRate   float64 // a second; 0: off
	frameBurst, byteBurst float64
	filled                time.Duration
}

// newMeter is nil where both limits are off. A burst is one second's worth, in bytes at least one whole largest
// message, so that no legal message is refused for its size alone.
func newMeter(cfg *Config, now time.Duration) *meter {
	if cfg.MessageRate == 0 && cfg.ByteRate == 0 {
		return nil
	}
	m := &meter{frameRate: float64(cfg.MessageRate), byteRate: float64(cfg.ByteRate), filled: now}
	m.frameBurst = m.frameRate
	m.byteBurst = max(m.byteRate, float64(cfg.MaxPayload)+maxFrameHeader)
	m.frames, m.bytes = m.frameBurst, m.byteBurst
	return m
}

// spend takes tokens and reports whether there were enough of them.
func (m *meter) spend(frames, bytes int, now time.Duration) bool {
	if dt := (now - m.filled).Seconds(); dt > 0 {
		m.frames = min(m.frameBurst, m.frames+dt*m.frameRate)
		m.bytes = min(m.byteBurst, m.bytes+dt*m.byteRate)
		m.filled = now
	}
	if m.frameRate > 0 {
		if m.frames -= float64(frames); m.frames < 0 {
			return false
		}
	}
	if m.byteRate > 0 {
		if m.bytes -= float64(bytes); m.bytes < 0 {
			return false
		}
	}
	return true
}
