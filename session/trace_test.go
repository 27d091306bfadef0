package session

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// steps tells what was noted of a message on a node, in a row.
func steps(n *bedNode, session, id string) string {
	var list []string
	for _, e := range n.Traced(fmt.Sprintf("%032x", session), id, 0, 100) {
		text := string(e.Step)
		if e.Who != "" {
			text += " " + e.Who
		}
		if e.Try > 0 {
			text += fmt.Sprint(" try ", e.Try)
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

func TestTrace_FollowsAMessageFromItsPublisherToItsSubscribersOnEveryNode(t *testing.T) {
	onBed(t, func(b *bed) {
		s := b.session("s")
		one, two := b.node(), b.node()
		far := two.connect("s", "c:far", 2)
		far.subscribe("t")
		pub := one.connect("s", "c:pub", 2)
		pub.publish("t", "before")
		far.ack("before")
		for _, n := range []*bedNode{one, two} {
			if !n.Watch(s.ID, "", 10*time.Minute) {
				t.Fatal("not watched")
			}
		}
		pub.publish("t", "m1")
		synctest.Wait()
		time.Sleep(20 * time.Second) // its subscriber does not ack at once
		far.ack("m1")
		synctest.Wait()

		if got, want := steps(one, "s", "m1"), "published c:pub, stored c:pub, answered c:pub"; got != want {
			t.Errorf("the publisher's node: %s, want %s", got, want)
		}
		if got, want := steps(two, "s", "m1"), "arrived c:pub, sent c:far, resent c:far try 1, resent c:far try 2, resent c:far try 3, acked c:far"; got != want {
			t.Errorf("the subscriber's node: %s, want %s", got, want)
		}
		if got := steps(two, "s", "before"); got != "" {
			t.Errorf("before it was watched: %s, want nothing", got)
		}
		if got := two.Traced("another", "", 0, 100); len(got) != 0 {
			t.Errorf("another session sees %v", got)
		}
	})
}

func TestTrace_OfOneMessageLeavesOthersAlone(t *testing.T) {
	onBed(t, func(b *bed) {
		s := b.session("s")
		n := b.node()
		n.connect("s", "c:c", 2).subscribe("t")
		pub := n.connect("s", "", 2)
		other := b.session("other")
		stranger := n.connect("other", "", 2)
		n.Watch(s.ID, "m2", time.Minute)
		for i := range 3 {
			pub.publish("t", fmt.Sprint("m", i+1))
			stranger.publish("t", fmt.Sprint("m", i+1))
		}
		synctest.Wait()
		if got := n.Traced(other.ID, "", 0, 100); len(got) != 0 {
			t.Errorf("of another session: %v", got)
		}
		for _, e := range n.Traced(s.ID, "", 0, 100) {
			if e.MessageID != "m2" || e.Topic != "t" {
				t.Errorf("noted %+v", e)
			}
		}
		if got := len(n.Traced(s.ID, "m2", 0, 100)); got < 4 {
			t.Errorf("%d steps, want all", got)
		}
	})
}

func TestTrace_EndsWithItsTimeAndIsForgottenAfter(t *testing.T) {
	onBed(t, func(b *bed) {
		s := b.session("s")
		n := b.node()
		pub := n.connect("s", "", 2)
		n.Watch(s.ID, "", time.Minute)
		n.Watch(s.ID, "", time.Second) // no shorter for it
		pub.publish("t", "m1")
		time.Sleep(61 * time.Second)
		if n.Watched(s.ID, "") != 0 || n.traces.on.Load() != nil {
			t.Error("still watched after its time")
		}
		pub.publish("t", "m2")
		synctest.Wait()
		if got := steps(n, "s", "m2"); got != "" {
			t.Errorf("noted after its time: %s", got)
		}
		if got := steps(n, "s", "m1"); got == "" {
			t.Error("what was noted is gone at once")
		}
		time.Sleep(traceKept + time.Minute)
		if got := steps(n, "s", "m1"); got != "" {
			t.Errorf("what was noted is kept for good: %s", got)
		}
		n.Watch(s.ID, "", time.Minute)
		n.Unwatch(s.ID, "")
		if n.Watched(s.ID, "") != 0 || n.traces.on.Load() != nil {
			t.Error("watched after Unwatch")
		}
	})
}

func TestTrace_IsBoundedInWatchesAndEvents(t *testing.T) {
	onBed(t, func(b *bed) {
		s := b.session("s")
		n := b.node()
		for i := range maxWatches {
			if !n.Watch(s.ID, fmt.Sprint("x", i), time.Minute) {
				t.Fatalf("watch %d refused", i)
			}
		}
		if n.Watch(s.ID, "", time.Minute) {
			t.Error("one more was taken")
		}
		if !n.Watch(s.ID, "x3", time.Hour) {
			t.Error("the same again was refused")
		}
		for i := range 3 * traceRing / 2 {
			n.Pushed(s.ID, "t", "x1", "sent", i)
		}
		list := n.Traced(s.ID, "x1", 0, 1<<20)
		if len(list) != traceRing || list[len(list)-1].Count != 3*traceRing/2-1 || list[0].Count != traceRing/2 {
			t.Fatalf("%d events, from %d to %d; want the newest %d in their order", len(list), list[0].Count, list[len(list)-1].Count, traceRing)
		}
		if !slices.IsSortedFunc(list, func(a, b Event) int { return int(a.N) - int(b.N) }) {
			t.Error("not in their order")
		}
		after := list[len(list)-3].N
		if got := n.Traced(s.ID, "x1", after, 100); len(got) != 2 || got[0].N != after+1 {
			t.Errorf("after %d: %v, want two", after, got)
		}
	})
}

// A step of what nobody watches is one load: the engine's hot paths pass it for every message and subscriber.
func TestTrace_CostsNothingWhileNobodyWatches(t *testing.T) {
	n := &Node{}
	tp := &topic{node: n}
	if got := testing.AllocsPerRun(1000, func() {
		if tp.watched() {
			t.Fatal("watched")
		}
	}); got != 0 {
		t.Errorf("%v allocations, want none", got)
	}
}
