package metrics

import (
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

// bounds are the upper ends of a histogram's buckets, ascending; one more bucket takes what is beyond the last.
type bounds struct {
	ends  []int64
	first [65]uint8 // by the length of a value in bits: the first bucket that it may be in
}

func newBounds(ends []int64) *bounds {
	b := &bounds{ends: ends}
	for length := range b.first {
		least := int64(0)
		if length > 0 && length < 64 {
			least = 1 << (length - 1)
		}
		at, _ := slices.BinarySearch(ends, least)
		b.first[length] = uint8(at)
	}
	return b
}

// bucket is where v belongs: a step or two, since the bounds of a power of two are few.
func (b *bounds) bucket(v int64) int {
	i := int(b.first[bits.Len64(uint64(v))])
	for i < len(b.ends) && v > b.ends[i] {
		i++
	}
	return i
}

// timeBounds are five a decade from 100 µs to 20 s: what quantiles are read from them is right within a third or so.
// sizeBounds are the powers of two of a group.
var (
	timeBounds = newBounds(decades(int64(100*time.Microsecond), int64(20*time.Second)))
	sizeBounds = newBounds([]int64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024})
)

// decades lists 1, 2, 3, 5, 7 times each power of ten of first, up to last.
func decades(first, last int64) (ends []int64) {
	for unit := first; ; unit *= 10 {
		for _, n := range []int64{1, 2, 3, 5, 7} {
			if n*unit > last {
				return ends
			}
			ends = append(ends, n*unit)
		}
	}
}

const (
	timeBuckets = 28
	sizeBuckets = 12
)

// Times counts durations. The zero value is ready; it is never copied.
type Times struct {
	_       [64]byte // so that no neighbour's adds cost anything here
	sum     atomic.Int64
	buckets [timeBuckets]atomic.Uint64
}

// Observe counts one duration. Less than none, which two clocks may tell, counts as none.
func (t *Times) Observe(d time.Duration) {
	d = max(d, 0)
	t.buckets[timeBounds.bucket(int64(d))].Add(1)
	t.sum.Add(int64(d))
}

// Read is a snapshot: each of its numbers is right, but not all of one moment. Its unit is the second.
func (t *Times) Read() Histogram {
	return read(timeBounds, t.buckets[:], t.sum.Load(), float64(time.Second))
}

// Sizes counts how many things came together. The zero value is ready; it is never copied.
type Sizes struct {
	_       [64]byte
	sum     atomic.Int64
	buckets [sizeBuckets]atomic.Uint64
}

// Observe counts one group.
func (s *Sizes) Observe(size int) {
	s.buckets[sizeBounds.bucket(int64(size))].Add(1)
	s.sum.Add(int64(size))
}

// Read is a snapshot.
func (s *Sizes) Read() Histogram { return read(sizeBounds, s.buckets[:], s.sum.Load(), 1) }

func read(b *bounds, buckets []atomic.Uint64, sum int64, unit float64) Histogram {
	h := Histogram{Ends: make([]float64, len(b.ends)), Counts: make([]uint64, len(buckets)), Sum: float64(sum) / unit}
	for i, end := range b.ends {
		h.Ends[i] = float64(end) / unit
	}
	for i := range buckets {
		h.Counts[i] = buckets[i].Load()
	}
	return h
}

// Histogram is what was counted until some moment.
type Histogram struct {
	Ends   []float64 // the upper ends of the buckets, each with its end; the last bucket has none
	Counts []uint64  // one more than Ends
	Sum    float64
}

// Count is how many values were counted.
func (h Histogram) Count() (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// Since is what came after an earlier snapshot of the same histogram; after the zero Histogram that is all.
func (h Histogram) Since(before Histogram) Histogram {
	since := Histogram{Ends: h.Ends, Counts: slices.Clone(h.Counts), Sum: h.Sum - before.Sum}
	for i, c := range before.Counts {
		since.Counts[i] -= c
	}
	return since
}

// Quantile is the value that a share q of all values do not exceed, as if those in a bucket lay evenly in it; 0 where
// there are none. Beyond the last bucket's end nothing is known, so that end stands for all that is.
func (h Histogram) Quantile(q float64) float64 {
	all := h.Count()
	if all == 0 {
		return 0
	}
	rank, below := q*float64(all), uint64(0)
	for i, c := range h.Counts {
		if c == 0 || float64(below+c) < rank {
			below += c
			continue
		}
		if i == len(h.Ends) {
			break
		}
		low := 0.0
		if i > 0 {
			low = h.Ends[i-1]
		}
		return low + (h.Ends[i]-low)*(rank-float64(below))/float64(c)
	}
	return h.Ends[len(h.Ends)-1]
}
