package gateway

import (
	"testing"
	"time"
)

func TestWitness_TellsAReaderFromAKernelThatHasRoom(t *testing.T) {
	const second = time.Second
	type step struct {
		l    line
		ping time.Duration
		read bool // there was a proof just now
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"nothing moves", []step{{line{100, 500, 0}, 1, false}, {line{100, 500, 0}, 1, false}, {line{100, 900, 0}, 1, false}}},
		{"nothing moves, for want of room", []step{{line{100, 500, second}, 1, false}, {line{100, 500, 2 * second}, 1, false}}},
		{"the ping is on its way and moves", []step{{line{100, 500, 0}, 1, false}, {line{200, 900, 0}, 1, true}, {line{600, 900, 0}, 1, true}}},
		{"the ping has arrived, and there is room for what follows", []step{
			{line{100, 500, 0}, 1, false}, {line{600, 0, 0}, 1, true}, {line{700, 0, 0}, 1, false}, {line{800, 0, 0}, 1, false}}},
		{"the ping had arrived before it was looked at", []step{{line{100, 0, 0}, 1, false}, {line{200, 0, 0}, 1, false}}},
		{"there was no room, and then some", []step{
			{line{100, 0, 0}, 1, false}, {line{200, 900, second}, 1, true}, {line{300, 900, 2 * second}, 1, true}, {line{400, 900, 2 * second}, 1, false}}},
		{"another ping is another question", []step{{line{100, 500, 0}, 1, false}, {line{200, 400, 0}, 1, true}, {line{300, 0, 0}, 2, false}, {line{400, 0, 0}, 2, false}}},
		{"the ping waits here", []step{{line{100, 500, 0}, 0, false}, {line{200, 500, second}, 0, false}}},
	} {
		var w witness
		for i, s := range c.steps {
			now := time.Duration(i+1) * second
			w.look(s.l, s.ping, now)
			if got := w.read == now; got != s.read {
				t.Errorf("%s: step %d: proof = %v, want %v", c.name, i, got, s.read)
			}
			if moved := i > 0 && s.l.acked > c.steps[i-1].l.acked; moved != (w.took == now) {
				t.Errorf("%s: step %d: taken at %v, and it is %v", c.name, i, w.took, now)
			}
		}
	}
}
