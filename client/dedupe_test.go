package client

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestDedupe_HandsEachMessageOverOnceWithinItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 5).Draw(t, "size")
		d := newDedupe(size)
		hand := make(map[pubKey]bool)
		var done []pubKey // the last size ones
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			key := pubKey{rapid.SampledFrom([]string{"a", "b"}).Draw(t, "topic"), fmt.Sprint(rapid.IntRange(0, 5).Draw(t, "id"))}
			if rapid.Bool().Draw(t, "comes") {
				want := fresh
				switch {
				case slices.Contains(done, key):
					want = acked
				case hand[key]:
					want = inHand
				}
				if got := d.begin(key); got != want {
					t.Fatalf("begin(%v) = %v, want %v", key, got, want)
				}
				if want == fresh {
					hand[key] = true
				}
				continue
			}
			if !hand[key] {
				continue
			}
			forGood := rapid.Bool().Draw(t, "for good")
			d.finish(key, forGood)
			delete(hand, key)
			if forGood {
				if done = append(done, key); len(done) > size {
					done = done[1:]
				}
			}
		}
		if len(d.done) != len(done) || len(d.hand) != len(hand) || len(d.last) > size {
			t.Fatalf("%d done, %d in hand, ring of %d; want %d, %d, %d at most", len(d.done), len(d.hand), len(d.last), len(done), len(hand), size)
		}
	})
}

func TestDedupe_TellsTopicsApart(t *testing.T) {
	d := newDedupe(10)
	if d.begin(pubKey{"ab", "c"}) != fresh || d.begin(pubKey{"a", "bc"}) != fresh {
		t.Error("the same bytes, cut elsewhere, are taken for one message")
	}
}
