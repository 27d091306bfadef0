package verify

import (
	"math/bits"
	"time"
)

// Histogram counts times in steps of an eighth, from a microsecond up. Its zero value is empty.
type Histogram struct {
	counts [64 * 8]uint64
	n      uint64
	max    time.Duration
}

// Add counts one time.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucket(d)]++
	h.n++
	h.max = max(h.max, d)
}

// Merge adds all that other has.
func (h *Histogram) Merge(other *Histogram) {
	for i, c := range other.counts {
		h.counts[i] += c
	}
	h.n += other.n
	h.max = max(h.max, other.max)
}

// Count is how many there are.
func (h *Histogram) Count() uint64 { return h.n }

// Max is the longest.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile is the time that the share q of all does not exceed, to an eighth; 0 of none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.n == 0 {
		return 0
	}
	rest := uint64(q * float64(h.n))
	for i, c := range h.counts {
		if rest < c {
			return min(upper(i), h.max)
		}
		rest -= c
	}
	return h.max
}

// bucket of d: the place of its highest bit in microseconds, and the three bits below that.
func bucket(d time.Duration) int {
	us := uint64(d / time.Microsecond)
	if us < 8 {
		return int(us)
	}
	high := bits.Len64(us) - 1
	return (high-2)*8 + int(us>>(high-3)&7)
}

// upper is the end of a bucket.
func upper(i int) time.Duration {
	if i < 8 {
		return time.Duration(i+1) * time.Microsecond
	}
	high, step := i/8+2, uint64(i%8)
	return time.Duration((8+step+1)<<(high-3)) * time.Microsecond
}
