package session

import (
	"strings"
	"testing"
	"time"
)

// bothSides connects a user through two nodes, and a third connection publishes.
func bothSides(b *bed, change ...func(*Config)) (near, far *bedNode, phone, laptop, sender *device) {
	b.session("s", thrice)
	near, far = b.node(change...), b.node(change...)
	time.Sleep(4 * time.Second) // a heartbeat
	phone, laptop, sender = near.connect("s", "u:a", 2), far.connect("s", "u:a", 2), near.connect("s", "", 2)
	phone.subscribe("t")
	laptop.subscribe("t")
	return near, far, phone, laptop, sender
}

// Rule 13: one ack of any connection settles a message, whichever nodes they are on.
func TestUser_AckedThroughAnotherNodeIsNotSentAgain(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, phone, laptop, sender := bothSides(b)
		sender.publish("t", "m1")
		sender.publish("t", "m2")
		phone.wantGot("m1 m2")
		laptop.wantGot("m1 m2")
		phone.ack("m1")
		time.Sleep(7 * time.Second)
		laptop.wantGot("m2+1")
		phone.wantGot("m2+1")
		laptop.ack("m2")
		time.Sleep(30 * time.Second)
		laptop.wantGot("")
		phone.wantGot("")
		if given := far.Stats().GivenUp; given != 0 {
			t.Errorf("%d given up, want none: all were acked", given)
		}
	})
}

// The row is read while the pong is awaited, however long that takes.
func TestUser_AckedThroughAnotherNodeIsNotSentAgainAfterALatePong(t *testing.T) {
	onBed(t, func(b *bed) {
		_, _, phone, laptop, sender := bothSides(b)
		sender.publish("t", "m1")
		laptop.wantGot("m1")
		laptop.set(func() { laptop.dead = true })
		phone.ack("m1")
		time.Sleep(8 * time.Second)
		laptop.set(func() { laptop.dead = false })
		laptop.peer.Alive(time.Now())
		laptop.wantGot("")
	})
}

func TestUser_AcksThroughAnotherNodeFreeTheWindow(t *testing.T) {
	onBed(t, func(b *bed) {
		_, _, phone, laptop, sender := bothSides(b, func(c *Config) { c.MaxInFlight = 1 })
		sender.publish("t", "m1")
		phone.ack("m1")
		sender.publish("t", "m2")
		phone.wantGot("m1 m2")
		laptop.wantGot("m1")
		time.Sleep(7 * time.Second)
		if got := laptop.got(); !strings.HasPrefix(got, "m2!") {
			t.Errorf("got %q, want m2", got)
		}
	})
}

// A row that cannot be read holds no retry back for long.
func TestUser_IsRetriedWithoutTheStore(t *testing.T) {
	onBed(t, func(b *bed) {
		_, _, _, laptop, sender := bothSides(b)
		sender.publish("t", "m1")
		laptop.wantGot("m1")
		b.store.fail(errStore)
		time.Sleep(6500 * time.Millisecond)
		laptop.wantGot("m1+1")
	})
}

// Rule 13: what one connection gives up is owed while another node holds one of the user's.
func TestUser_WhatIsGivenUpHereIsOwedWhileTheyAreConnectedElsewhere(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, phone, laptop, sender := bothSides(b)
		laptop.set(func() { laptop.dead = true }) // takes no retry: it counts no try
		sender.publish("t", "m1")
		time.Sleep(30 * time.Second)
		if given := near.Stats().GivenUp; given != 1 {
			t.Fatalf("%d given up, want 1", given)
		}
		phone.wantGot("m1 m1+1 m1+2 m1+3")
		laptop.leave()
		phone.leave()
		far.connect("s", "u:a", 2).wantGot("m1!")
	})
}

func TestUser_WhatIsGivenUpIsSettledWhenNobodyElseCanAckIt(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, phone, laptop, sender := bothSides(b)
		laptop.leave()
		sender.publish("t", "m1")
		time.Sleep(30 * time.Second)
		phone.leave()
		far.connect("s", "u:a", 2).wantGot("")
	})
}

// Without word of who is connected elsewhere it stays owed.
func TestUser_WhatIsGivenUpStaysOwedWithoutWordOfOthers(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, phone, laptop, sender := bothSides(b)
		laptop.leave()
		near.plane.set(func(p *faultyPlane) { p.frozen = true })
		sender.publish("t", "m1")
		time.Sleep(30 * time.Second)
		near.plane.set(func(p *faultyPlane) { p.frozen = false })
		phone.leave()
		far.connect("s", "u:a", 2).wantGot("m1!")
	})
}
