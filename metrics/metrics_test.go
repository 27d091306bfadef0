package metrics

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestBounds_FillTheirHistograms(t *testing.T) {
	if n := len(timeBounds.ends) + 1; n != timeBuckets {
		t.Errorf("times have %d buckets, want %d", n, timeBuckets)
	}
	if n := len(sizeBounds.ends) + 1; n != sizeBuckets {
		t.Errorf("sizes have %d buckets, want %d", n, sizeBuckets)
	}
	if !slices.Contains(timeBounds.ends, int64(5*time.Millisecond)) {
		t.Error("no bucket ends at the 5 ms that a publish between two nodes may take")
	}
}

func TestTimes_EveryValueIsInTheBucketThatEndsNextAboveIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.OneOf(rapid.Int64Range(0, math.MaxInt64), rapid.SampledFrom(timeBounds.ends)).Draw(t, "v")
		want, _ := slices.BinarySearch(timeBounds.ends, v)
		if got := timeBounds.bucket(v); got != want {
			t.Fatalf("bucket of %d = %d, want %d", v, got, want)
		}
	})
}

func TestTimes_CountsFromManyGoroutinesAtOnce(t *testing.T) {
	var times Times
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				times.Observe(3 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	times.Observe(-time.Second) // two clocks
	h := times.Read()
	if h.Count() != 8001 || math.Abs(h.Sum-24) > 1e-6 || h.Counts[0] != 1 {
		t.Errorf("count = %d, sum = %v, below the first end %d, want 8001, 24 and 1", h.Count(), h.Sum, h.Counts[0])
	}
}

func TestHistogram_QuantilesAreWithinABucketOfTheTruth(t *testing.T) {
	var times Times
	var all []float64
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		d := time.Duration(math.Exp(r.NormFloat64()) * float64(4*time.Millisecond))
		all = append(all, d.Seconds())
		times.Observe(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99} {
		want, got := all[int(q*float64(len(all)))], times.Read().Quantile(q)
		if got < want/1.5 || got > want*1.5 {
			t.Errorf("quantile %v = %v, want about %v", q, got, want)
		}
	}
}

func TestHistogram_QuantileOfNothingAndOfTheEndless(t *testing.T) {
	var times Times
	if q := times.Read().Quantile(0.5); q != 0 {
		t.Errorf("of nothing: %v, want 0", q)
	}
	times.Observe(time.Hour)
	if q := times.Read().Quantile(0.5); q != 20 {
		t.Errorf("of an hour: %v, want the last end, 20", q)
	}
}

func TestHistogram_SinceIsWhatCameBetween(t *testing.T) {
	var sizes Sizes
	sizes.Observe(3)
	before := sizes.Read()
	sizes.Observe(1000)
	sizes.Observe(5000)
	h := sizes.Read().Since(before)
	if h.Count() != 2 || h.Sum != 6000 || h.Counts[sizeBuckets-1] != 1 {
		t.Errorf("since = %+v, want 1000 and 5000", h)
	}
	if all := sizes.Read().Since(Histogram{}); all.Count() != 3 {
		t.Errorf("since nothing: %d, want 3", all.Count())
	}
}

func TestLabels_WhatIsOutsideOfTheSetIsNoLabel(t *testing.T) {
	l := NewLabels("a", "b")
	l.Count("a")
	l.Count("a session's name")
	got := l.Read()
	if len(got) != 3 || got["a"] != 1 || got["b"] != 0 || got["other"] != 1 {
		t.Errorf("counts = %v", got)
	}
}

func TestObserve_AllocatesNothing(t *testing.T) {
	var times Times
	var sizes Sizes
	l := NewLabels("a")
	if n := testing.AllocsPerRun(1000, func() {
		times.Observe(time.Millisecond)
		sizes.Observe(7)
		l.Count("a")
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func BenchmarkTimes(b *testing.B) {
	b.Run("cores=1", func(b *testing.B) {
		var times Times
		for b.Loop() {
			times.Observe(3 * time.Millisecond)
		}
	})
	b.Run("cores=all", func(b *testing.B) {
		var times Times
		b.RunParallel(func(p *testing.PB) {
			for p.Next() {
				times.Observe(3 * time.Millisecond)
			}
		})
	})
}
