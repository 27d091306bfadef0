package storage

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

const top = 40 // the model's seqs are 1 to top: small, so that ranges meet often

// model is a set of seqs as plain as can be.
type model map[uint64]bool

func (m model) add(lo, hi uint64) {
	for s := max(lo, 1); s <= hi; s++ {
		m[s] = true
	}
}

// drawSet draws a set both ways.
func drawSet(t *rapid.T, label string) (Ranges, model) {
	var r Ranges
	m := model{}
	for range rapid.IntRange(0, 12).Draw(t, label+" adds") {
		lo := rapid.Uint64Range(0, top).Draw(t, label+" lo")
		hi := rapid.Uint64Range(0, top).Draw(t, label+" hi") // below lo at times: adds nothing
		r.Add(lo, hi)
		m.add(lo, hi)
	}
	return r, m
}

// check compares a set with its model and looks at its form.
func check(t *rapid.T, r Ranges, m model) {
	t.Helper()
	for i, x := range r {
		if x.Lo < 1 || x.Lo > x.Hi || i > 0 && x.Lo <= r[i-1].Hi+1 {
			t.Fatalf("not ascending, disjoint and apart: %v", r)
		}
	}
	if got := r.Count(); got != uint64(len(m)) {
		t.Fatalf("%v: count = %d, want %d", r, got, len(m))
	}
	for s := range uint64(top + 2) {
		if got := r.Contains(s); got != m[s] {
			t.Fatalf("%v: contains %d = %v, want %v", r, s, got, m[s])
		}
	}
}

func TestRanges_BehaveLikeASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, ma := drawSet(t, "a")
		b, mb := drawSet(t, "b")
		check(t, a, ma)

		before := a.Clone()
		union, both := model{}, model{}
		for s := range uint64(top + 1) {
			if ma[s] || mb[s] {
				union[s] = true
			}
			if ma[s] && mb[s] {
				both[s] = true
			}
		}
		check(t, a.Union(b), union)
		check(t, a.Intersect(b), both)
		if !slices.Equal(a, before) {
			t.Fatalf("Union or Intersect changed its receiver: %v, was %v", a, before)
		}

		lo := rapid.Uint64Range(1, top).Draw(t, "lo")
		hi := rapid.Uint64Range(1, top).Draw(t, "hi")
		covered := true
		for s := lo; s <= hi; s++ {
			covered = covered && ma[s]
		}
		if got := a.Covers(lo, hi); got != covered {
			t.Fatalf("%v: covers %d..%d = %v, want %v", a, lo, hi, got, covered)
		}
		gap := lo + 1
		for ma[gap] {
			gap++
		}
		if got := a.NextGap(lo); got != gap {
			t.Fatalf("%v: gap after %d = %d, want %d", a, lo, got, gap)
		}
		highest := uint64(0)
		for s := range ma {
			highest = max(highest, s)
		}
		if got := a.Max(); got != highest {
			t.Fatalf("%v: max = %d, want %d", a, got, highest)
		}
	})
}

func TestRanges_EncodingIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, _ := drawSet(t, "r")
		if rapid.Bool().Draw(t, "far") {
			r.Add(rapid.Uint64Min(1).Draw(t, "lo"), math.MaxUint64)
		}
		got, err := ParseRanges(r.AppendBinary(nil))
		if err != nil || !slices.Equal(got, r) {
			t.Fatalf("read back %v (%v), want %v", got, err, r)
		}
	})
}

func TestRanges_EdgesOfTheNumbers(t *testing.T) {
	r := Span(math.MaxUint64, math.MaxUint64)
	r.Add(1, 1)
	r.Add(0, 0)
	if !slices.Equal(r, Ranges{{1, 1}, {math.MaxUint64, math.MaxUint64}}) {
		t.Fatalf("ranges = %v", r)
	}
	r.Add(2, math.MaxUint64-1)
	if !slices.Equal(r, Ranges{{1, math.MaxUint64}}) {
		t.Fatalf("ranges = %v, want all in one", r)
	}
	if Span(2, 1) != nil || !Ranges(nil).Covers(2, 1) || Ranges(nil).Covers(1, 1) {
		t.Fatal("the empty span is not empty")
	}
}

func TestParseRanges_RefusesOtherForms(t *testing.T) {
	for name, b := range map[string][]byte{
		"half a range":      {5},
		"half a number":     {0x80},
		"seq 0":             {0, 3},
		"adjacent ranges":   {1, 0, 1, 0},
		"a longer number":   {0x81, 0x00, 0},
		"beyond 64 bits":    {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
		"overlong 11 bytes": {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0},
	} {
		if r, err := ParseRanges(b); err == nil {
			t.Errorf("%s: taken as %v", name, r)
		}
	}
}

func FuzzParseRanges(f *testing.F) {
	f.Add([]byte{1, 0})
	f.Add(Ranges{{1, 9}, {12, 12}, {400, math.MaxUint64}}.AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRanges(b)
		if err != nil {
			return
		}
		if got := r.AppendBinary(nil); !bytes.Equal(got, b) {
			t.Fatalf("%x was read as %v, which is written %x", b, r, got)
		}
		if len(r) > len(b)/2 {
			t.Fatalf("%d ranges out of %d bytes", len(r), len(b))
		}
	})
}

func BenchmarkRanges_AckInOrder(b *testing.B) {
	var r Ranges
	for i := range b.N {
		r.Add(uint64(i)+1, uint64(i)+1)
	}
}
