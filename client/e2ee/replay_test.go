package e2ee

import (
	"testing"

	"pgregory.net/rapid"
)

func TestReplayGuard_AcceptsEachMarkOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := NewReplayGuard()
		model := make(map[Mark]bool)
		edge := rapid.SampledFrom([]uint64{0, 1 << 31, 1<<64 - 8}).Draw(t, "edge")
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			m := Mark{Sender: [16]byte{rapid.Byte().Draw(t, "sender") % 3}, Counter: edge + uint64(rapid.IntRange(0, 7).Draw(t, "n"))}
			if rapid.Bool().Draw(t, "far") {
				m.Counter -= 100 * uint64(rapid.IntRange(0, 9).Draw(t, "far n"))
			}
			if got := g.Seen(m); got != model[m] {
				t.Fatalf("Seen(%v) = %v, want %v", m, got, model[m])
			}
			if got := g.Accept(m) == nil; got == model[m] {
				t.Fatalf("Accept(%v) took it: %v, want %v", m, got, !model[m])
			}
			model[m] = true
		}
	})
}

func TestReplayGuard_KeepsOneRangeForASenderInOrder(t *testing.T) {
	g := NewReplayGuard()
	for i := range uint64(10000) {
		if err := g.Accept(Mark{Counter: i ^ 1}); err != nil { // in pairs swapped
			t.Fatal(err)
		}
	}
	if g.ranges != 1 {
		t.Errorf("%d ranges, want 1", g.ranges)
	}
}

func TestReplayGuard_ForgetsTheSenderHeardLeastRecently(t *testing.T) {
	g := newReplayGuard(4)
	mark := func(sender byte, n uint64) Mark { return Mark{Sender: [16]byte{sender}, Counter: n} }
	for _, m := range []Mark{mark(1, 0), mark(2, 0), mark(2, 2), mark(1, 1), mark(3, 0), mark(3, 2)} {
		if err := g.Accept(m); err != nil {
			t.Fatal(err)
		}
	}
	if g.Seen(mark(2, 0)) || !g.Seen(mark(1, 0)) || !g.Seen(mark(3, 2)) {
		t.Error("want sender 2 forgotten, and 1 and 3 remembered")
	}
	if g.ranges > 4 || len(g.senders) != 2 {
		t.Errorf("%d ranges of %d senders, want 3 of 2", g.ranges, len(g.senders))
	}
}

func TestReplayGuard_OfASoleSenderForgetsTheLowest(t *testing.T) {
	g := newReplayGuard(4)
	for n := range uint64(10) {
		if err := g.Accept(Mark{Counter: 2 * n}); err != nil {
			t.Fatal(err)
		}
	}
	if g.ranges != 4 || g.Seen(Mark{Counter: 10}) || !g.Seen(Mark{Counter: 12}) {
		t.Errorf("%d ranges, want the 4 highest", g.ranges)
	}
}
