package session

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

func TestAttach_EverythingPendingComesInOrderWithoutASubscribe(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sub.subscribe("u")
		sub.leave()
		sender.publishAll("t", ids(1, 40))
		again := n.connect("s", "c:a", 2)
		f := again.last(protocol.TypeInitResponse)
		if !f.Resumed || !slices.Equal(f.Topics, []string{"t", "u"}) || string(f.ClientID) != "a" {
			t.Errorf("init_response = %+v, want it resumed with t and u", f)
		}
		want := ""
		for _, id := range ids(1, 40) {
			want += id + "! "
		}
		again.wantGot(want[:len(want)-1])
		sender.publish("t", "m41")
		again.wantGot("m41")
	})
}

func TestAttach_SurvivesTheNode(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.publishAll("t", ids(1, 3))
		sub.ack("m2")
		n.end()
		again := b.node().connect("s", "c:a", 2)
		again.wantGot("m1! m3!")
	})
}

func TestAttach_Version1GetsAHeldTopicAfterItsSubscribe(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 1), n.connect("s", "", 2)
		sub.subscribe("t")
		sub.leave()
		sender.publish("t", "m1")
		again := n.connect("s", "c:a", 1)
		sender.publish("t", "m2")
		again.wantGot("")
		again.subscribe("t")
		again.wantGot("m1! m2!")
		sender.publish("t", "m3")
		again.wantGot("m3")
	})
}

func TestAttach_TakesTheOldConnectionOver(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		old, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		old.subscribe("t")
		sender.publishAll("t", ids(1, 3))
		old.ack("m1")
		next := n.connect("s", "c:a", 2)
		old.wantClosed(protocol.CloseTakenOver)
		next.wantGot("m2! m3!")
		sender.publish("t", "m4")
		next.wantGot("m4")
		old.wantGot("m1 m2 m3")
		if !next.last(protocol.TypeInitResponse).Resumed {
			t.Error("the new connection is not resumed")
		}
	})
}

func TestAttach_OfManyAtOnceOneStays(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		first := n.connect("s", "c:a", 2)
		first.subscribe("t")
		var all []*device
		for i := range 8 {
			d := n.dial(fmt.Sprint("racer", i))
			all = append(all, d)
			d.hand(`{"type":"init","sessionName":"s","password":"password","protocol":2,"clientId":"a"}`)
		}
		synctest.Wait()
		open := 0
		n.connect("s", "", 2).publish("t", "m1")
		for _, d := range all {
			d.mu.Lock()
			if d.code == 0 {
				open++
			}
			d.mu.Unlock()
			if got := d.got(); (d.code == 0) != (got == "m1") {
				t.Errorf("%s, closed with %d, got %q", d.name, d.code, got)
			}
		}
		if open != 1 {
			t.Errorf("%d connections of one client are open, want 1", open)
		}
	})
}

func TestAttach_ClientAndUserOfOneTextAreTwoSubscribers(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		client, user, sender := n.connect("s", "c:a", 2), n.connect("s", "u:a", 2), n.connect("s", "", 2)
		client.subscribe("t")
		user.subscribe("t")
		sender.publish("t", "m1")
		client.ack("m1")
		time.Sleep(2 * time.Second)
		client.wantClosed(0)
		user.leave()
		client.leave()
		n.connect("s", "u:a", 2).wantGot("m1!")
		n.connect("s", "c:a", 2).wantGot("")
	})
}

func TestUser_OneAckSettlesForAllItsConnections(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node(func(c *Config) { c.MaxInFlight = 1 })
		phone, laptop, sender := n.connect("s", "u:a", 2), n.connect("s", "u:a", 2), n.connect("s", "", 2)
		phone.subscribe("t")
		laptop.subscribe("t")
		sender.publish("t", "m1")
		phone.wantGot("m1")
		laptop.wantGot("m1")
		phone.ack("m1")
		sender.publish("t", "m2")
		laptop.wantGot("m2") // its window is free as well
		laptop.ack("m2")
		time.Sleep(6 * time.Second)
		phone.wantGot("m2")
		laptop.wantGot("")
		n.connect("s", "u:a", 2).wantGot("")
	})
}

func TestUser_UnsubscribeOfOneIsForAll(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		phone, laptop, sender := n.connect("s", "u:a", 2), n.connect("s", "u:a", 2), n.connect("s", "", 2)
		phone.subscribe("t")
		laptop.subscribe("t")
		phone.send(`{"type":"unsubscribe","topic":"t"}`)
		if f := phone.last(protocol.TypeUnsubscribeResponse); !f.Success {
			t.Errorf("unsubscribe_response = %+v", f)
		}
		sender.publish("t", "m1")
		phone.wantGot("")
		laptop.wantGot("")
		sender.wantAcks("m1") // nobody durable is left
	})
}

func TestUser_GetsWhatItsOtherConnectionSendsOnce(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		phone, laptop, other := n.connect("s", "u:a", 2), n.connect("s", "u:a", 2), n.connect("s", "c:o", 2)
		for _, d := range []*device{phone, laptop, other} {
			d.subscribe("t")
		}
		phone.publish("t", "m1")
		phone.wantGot("")
		laptop.wantGot("m1")
		time.Sleep(6 * time.Second)
		laptop.wantGot("")
		n.connect("s", "u:a", 2).wantGot("")
	})
}

func TestOwn_IsNeverReplayed(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, other := n.connect("s", "c:a", 2), n.connect("s", "c:b", 2)
		sub.subscribe("t")
		other.subscribe("t")
		sub.publish("t", "m1")
		other.publish("t", "m2")
		sub.leave()
		n.connect("s", "c:a", 2).wantGot("m2!")
	})
}

func TestOwn_IsNeverReadBackByWhoFellBehind(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node(func(c *Config) { c.MaxInFlight = 1 })
		sub, other := n.connect("s", "c:a", 2), n.connect("s", "c:b", 2)
		sub.subscribe("t")
		other.subscribe("t")
		other.publish("t", "m1")
		other.publish("t", "m2")
		sub.publish("t", "mine")
		other.publish("t", "m3")
		sub.wantGot("m1")
		sub.ack("m1")
		sub.wantGot("m2!")
		sub.ack("m2")
		sub.wantGot("m3!")
	})
}

// The other connection acked it before its note, while this one waited to go live.
func TestUser_WhatOneAckedEarlyDoesNotReachTheOther(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		phone, sender := n.connect("s", "u:a", 2), n.connect("s", "", 2)
		phone.subscribe("t")
		b.store.hold()
		sender.publish("t", "m1")
		laptop := n.connect("s", "u:a", 2)
		sender.publish("t", "m2")
		phone.ack("m2")
		laptop.wantGot("")
		b.store.mend()
		laptop.wantGot("m1!")
		sender.publish("t", "m3")
		laptop.wantGot("m3")
	})
}

func TestSubscribe_AgainKeepsThePosition(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 1), n.connect("s", "", 2)
		sub.subscribe("t")
		sub.leave()
		sender.publishAll("t", ids(1, 2))
		sub = n.connect("s", "c:a", 1)
		sub.subscribe("t")
		sub.wantGot("m1! m2!")
		sub.subscribe("t")
		sub.wantGot("")
	})
}

func TestSubscribe_StartsAtWhatComesNext(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		keep, sender := n.connect("s", "c:k", 2), n.connect("s", "", 2)
		keep.subscribe("t")
		sender.publish("t", "m1")
		sub := n.connect("s", "c:a", 2)
		sub.subscribe("t")
		sender.publish("t", "m2")
		sub.wantGot("m2")
	})
}

// Who was confirmed before an ack is owed the message: so a subscription that comes too late for a message is not
// confirmed before that is acked.
func TestSubscribe_IsConfirmedBehindTheAcksOfWhatItMisses(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		keep, sender, sub := n.connect("s", "c:k", 2), n.connect("s", "", 2), n.connect("s", "c:a", 2)
		keep.subscribe("t")
		n.plane.set(func(p *faultyPlane) { p.mute = true }) // committed, and its ack waits for the note
		sender.publish("t", "m1")
		sub.send(`{"type":"subscribe","topic":"t"}`)
		if sub.has(protocol.TypeSubscribeResponse) {
			t.Error("confirmed before the ack of what it misses")
		}
		sender.wantAcks("")
		time.Sleep(3200 * time.Millisecond)
		sender.wantAcks("m1=1")
		if f := sub.last(protocol.TypeSubscribeResponse); !f.Success {
			t.Errorf("subscribe_response = %+v", f)
		}
	})
}

func TestSubscribe_HasALimit(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node(func(c *Config) { c.MaxTopics = 2 })
		d := n.connect("s", "c:a", 2)
		d.subscribe("a")
		d.subscribe("b")
		d.send(`{"type":"subscribe","topic":"c"}`)
		if f := d.last(protocol.TypeSubscribeResponse); f.Success || f.Code != protocol.QuotaExceeded || string(f.Topic) != "c" {
			t.Errorf("subscribe_response = %+v, want quota_exceeded", f)
		}
		d.send(`{"type":"unsubscribe","topic":"a"}`)
		d.subscribe("c")
	})
}

func TestReplay_ThenLiveKeepsEachMessageOnceAndInOrder(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		keep, sender := n.connect("s", "c:k", 2), n.connect("s", "", 2)
		keep.subscribe("t")
		sub := n.connect("s", "c:a", 2)
		sub.subscribe("t")
		sub.leave()
		sender.publishAll("t", ids(1, 3))
		b.store.hold()
		sender.publish("t", "m4") // undecided while it attaches
		sub = n.connect("s", "c:a", 2)
		sub.wantGot("m1! m2! m3!")
		sender.publish("t", "m5")
		sub.wantGot("") // it would overtake m4
		b.store.mend()
		sub.wantGot("m4! m5")
		sender.publish("t", "m6")
		sub.wantGot("m6")
	})
}

func TestIsolation_NothingCrossesSessions(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		b.session("z")
		n := b.node()
		mine, theirs, sender := n.connect("s", "c:a", 2), n.connect("z", "c:a", 2), n.connect("s", "", 1)
		mine.subscribe("t")
		theirs.subscribe("t")
		sender.publish("t", "m1")
		if f := sender.last(protocol.TypePublishResponse); f.DeliveredTo != 1 {
			t.Errorf("deliveredTo = %d, want 1", f.DeliveredTo)
		}
		mine.wantGot("m1")
		theirs.wantGot("")
		mine.wantClosed(0)
	})
}

func TestSession_GoneClosesItsConnections(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("dropped")
		b.session("suspended")
		b.session("expired", func(s *storage.Session) { s.ExpiresAt = time.Now().Add(10 * time.Second) })
		b.session("other")
		n, far := b.node(), b.node()
		for name, end := range map[string]func(){
			"dropped":   func() { n.catalog.Drop(b.Context(), "dropped") },
			"suspended": func() { n.catalog.Suspend(b.Context(), "suspended", true) },
			"expired":   func() { time.Sleep(12 * time.Second) },
		} {
			here, there, other := n.connect(name, "c:a", 2), far.connect(name, "", 2), n.connect("other", "", 2)
			here.subscribe("t")
			end()
			here.wantClosed(protocol.CloseSessionGone)
			there.wantClosed(protocol.CloseSessionGone)
			other.wantClosed(0)
			again := n.dial("again")
			again.send(fmt.Sprintf(`{"type":"init","sessionName":%q,"password":"password"}`, name))
			if f := again.last(protocol.TypeInitResponse); f.Success {
				t.Errorf("%s: logged in again", name)
			}
			again.wantClosed(protocol.CloseNotAuthenticated)
		}
	})
}

// Two nodes at once find nobody to take over: the one that was first finds out by its row.
func TestAttach_ThroughTwoNodesAtOnceLeavesOne(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		near, far := b.node(), b.node()
		time.Sleep(4 * time.Second) // a heartbeat
		first := near.connect("s", "c:a", 2)
		first.subscribe("t")
		far.store.Attach(b.Context(), first.peer.(*Conn).tenant.id, "c:a", true) // as its log-in does, which saw nobody
		near.connect("s", "", 2).publish("t", "m1")
		first.leave()
		late := near.connect("s", "c:a", 2)
		far.store.Attach(b.Context(), late.peer.(*Conn).tenant.id, "c:a", true)
		time.Sleep(2 * time.Second) // nothing is acked
		late.wantClosed(protocol.CloseTakenOver)
	})
}
