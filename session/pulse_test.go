package session

import (
	"testing"
	"time"
)

func TestPulse_KnowsThatTheProcessStoodStill(t *testing.T) {
	var p pulse
	at := func(s float64) int64 { return int64(s * float64(time.Second)) }
	for _, c := range []struct {
		at         float64
		beat, want bool
	}{
		{1, false, false}, // it does not run yet
		{1, true, false}, {2, false, false}, {2.9, true, false},
		{9, false, true}, // before the first beat after it
		{9.1, true, true}, {9.2, true, true}, {11, true, true}, {13, true, true},
		{14.3, true, false},
		{17, true, true},
	} {
		if c.beat {
			p.beat(at(c.at))
		}
		if got := p.stoodStill(at(c.at)); got != c.want {
			t.Errorf("at %v s: stoodStill = %v, want %v", c.at, got, c.want)
		}
	}
}

// Its clients have given it up, and sent again elsewhere what it finds in its sockets when it comes back.
func TestPublish_ANodeThatStoodStillLooksBeforeItAnnounces(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		hung, near, far := b.node(), b.node(), b.node()
		sub := near.connect("s", "c:a", 2)
		sub.subscribe("t")
		sub.leave()
		near.connect("s", "", 2).publish("t", "m1")
		again := far.connect("s", "c:a", 2) // the first of its node on the topic: that knows of no earlier copy
		again.wantGot("m1!")
		again.ack("m1")
		sender := hung.connect("s", "", 2)
		hung.pulse.still.Store(hung.clock())
		sender.publish("t", "m1")
		sender.publish("t", "m2")
		again.wantGot("m2")
		sender.wantAcks("m1=1 m2=2")
	})
}
