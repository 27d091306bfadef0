package session

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// ids lists m1 to mN.
func ids(from, to int) []string {
	var list []string
	for i := from; i <= to; i++ {
		list = append(list, fmt.Sprint("m", i))
	}
	return list
}

func (d *device) publishAll(topic string, list []string) {
	for _, id := range list {
		d.publish(topic, id)
	}
}

func (d *device) ackAll(list []string) {
	for _, id := range list {
		d.ack(id)
	}
}

func TestWindow_RestOfADurableSubscriberWaitsInTheStore(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node(func(c *Config) { c.MaxInFlight = 4 })
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.publishAll("t", ids(1, 10))
		sub.wantGot("m1 m2 m3 m4")
		sub.ack("m1")
		sub.wantGot("")
		sub.ack("m2") // half of it is free: the next page
		sub.wantGot("m5! m6!")
		sub.ackAll(ids(3, 6))
		sub.wantGot("m7! m8! m9! m10!")
		sub.ackAll(ids(7, 10))
		sender.publish("t", "m11")
		sub.wantGot("m11") // live again
	})
}

// What was sent before its seq was known is not read back while it is out.
func TestWindow_WhatIsOutIsNotReadBack(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node(func(c *Config) { c.MaxInFlight = 2 })
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		b.store.hold()
		sender.publishAll("t", ids(1, 3))
		sub.wantGot("m1 m2")
		b.store.mend()
		sub.ack("m2")
		sub.wantGot("m3!")
	})
}

// A window that is nearly full of what is never acked must not starve what waits in the store.
func TestWindow_LittleRoomIsUsedAfterAWhile(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node(func(c *Config) { c.MaxInFlight = 8 })
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("stuck")
		sub.subscribe("t")
		sender.publishAll("stuck", ids(1, 7))
		sender.publishAll("t", ids(8, 10))
		sub.wantGot("m1 m2 m3 m4 m5 m6 m7 m8")
		sub.ack("m8")
		time.Sleep(100 * time.Millisecond)
		sub.wantGot("m9!")
		sub.ack("m9")
		time.Sleep(100 * time.Millisecond)
		sub.wantGot("m10!")
	})
}

func TestWindow_IsOneForAllTopicsOfAConnection(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node(func(c *Config) { c.MaxInFlight = 4 })
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		for _, topic := range []string{"a", "b", "c"} {
			sub.subscribe(topic)
			sender.publish(topic, topic+"1")
			sender.publish(topic, topic+"2")
		}
		sub.wantGot("a1 a2 b1 b2")
		sub.ackAll([]string{"a1", "a2", "b1", "b2"})
		sub.wantGot("c1! c2!")
	})
}

func TestWindow_RestOfAnEphemeralSubscriberWaitsInBoundedMemory(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node(func(c *Config) { c.MaxInFlight, c.OutboxBytes = 2, 600 })
		sub, sender := n.connect("s", "", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.publishAll("t", ids(1, 4)) // two in the window, two of 266 bytes behind it
		sub.wantGot("m1 m2")
		sub.ack("m1")
		sub.wantGot("m3")
		sender.publish("t", "m5")
		sub.wantClosed(0)
		sender.publish("t", "m6")
		sub.wantClosed(protocol.CloseSlowConsumer)
		sender.wantAcks("m1 m2 m3 m4 m5 m6")
	})
}

func TestWindow_FullOutboxLosesNothing(t *testing.T) {
	for _, who := range []string{"", "c:a"} {
		t.Run("of "+who, func(t *testing.T) {
			onBed(t, func(b *bed) {
				b.session("s")
				n := b.node()
				sub, sender := n.connect("s", who, 2), n.connect("s", "", 2)
				sub.subscribe("t")
				sub.mu.Lock()
				sub.full = true
				sub.mu.Unlock()
				sender.publishAll("t", ids(1, 3))
				time.Sleep(time.Second)
				sub.wantGot("")
				sub.mu.Lock()
				sub.full = false
				sub.mu.Unlock()
				time.Sleep(200 * time.Millisecond)
				if got := strings.ReplaceAll(sub.got(), "!", ""); got != "m1 m2 m3" {
					t.Errorf("got %q, want m1 m2 m3", got)
				}
			})
		})
	}
}

func TestAck_BeatsItsNote(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, keep, sender := n.connect("s", "c:a", 2), n.connect("s", "c:b", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		keep.subscribe("t")
		b.store.hold()
		sender.publish("t", "m1")
		sub.ack("m1")
		b.store.mend()
		sender.wantAcks("m1=1")
		sub.leave()
		again := n.connect("s", "c:a", 2)
		again.wantGot("")
	})
}

// The connection may be another one by the time that the note comes.
func TestAck_BeatsItsNoteAcrossATakeOver(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, keep, sender := n.connect("s", "c:a", 2), n.connect("s", "c:b", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		keep.subscribe("t")
		b.store.hold()
		sender.publish("t", "m1")
		sub.ack("m1")
		again := n.connect("s", "c:a", 2)
		b.store.mend()
		time.Sleep(2 * time.Second)
		sender.publish("t", "m2")
		again.wantGot("m2")
	})
}

func TestAck_TakesAListAndNeedsNoTopicInVersion1(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node(func(c *Config) { c.MaxInFlight = 3 })
		two, one, sender := n.connect("s", "c:a", 2), n.connect("s", "c:b", 1), n.connect("s", "", 2)
		two.subscribe("t")
		one.subscribe("t")
		sender.publishAll("t", ids(1, 6))
		two.wantGot("m1 m2 m3")
		two.send(`{"type":"ack","topic":"t","messageIds":["m2","m3","m1","m99"]}`)
		two.wantGot("m4! m5! m6!")
		one.got()
		one.ackAll(ids(1, 3))
		time.Sleep(100 * time.Millisecond)
		one.wantGot("m4! m5! m6!")
		one.send(`{"type":"ack","topic":"other","messageId":"m4"}`) // another topic's
		time.Sleep(6 * time.Second)
		one.wantGot("m4+1 m5+1 m6+1")
	})
}

func TestCursors_AreSettledInBatches(t *testing.T) {
	onBed(t, func(b *bed) {
		s := b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.publishAll("t", ids(1, 50))
		sub.ackAll(ids(1, 50))
		if calls := b.store.settles(); calls != 0 {
			t.Errorf("%d settlements at once, want none", calls)
		}
		time.Sleep(1100 * time.Millisecond)
		if calls := b.store.settles(); calls != 1 {
			t.Errorf("%d settlements after a second, want 1", calls)
		}
		rows, err := b.store.Attach(b.Context(), s.ID, "c:a", false)
		if err != nil || !rows[0].Settled.Covers(1, 50) {
			t.Errorf("settled %v (%v), want 1 to 50", rows, err)
		}
	})
}

func TestCursors_SurviveAStoreThatIsOut(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, keep, sender := n.connect("s", "c:a", 2), n.connect("s", "c:b", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		keep.subscribe("t")
		sender.publishAll("t", ids(1, 3))
		sub.wantGot("m1 m2 m3")
		b.store.fail(storage.ErrUnavailable)
		sub.ackAll(ids(1, 2))
		sub.leave()
		time.Sleep(3 * time.Second)
		b.store.mend()
		time.Sleep(2 * time.Second)
		b.node().connect("s", "c:a", 2).wantGot("m3!")
	})
}

func TestRun_CarriesTheLastAcksToTheStore(t *testing.T) {
	onBed(t, func(b *bed) {
		s := b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.publish("t", "m1")
		sub.ack("m1")
		n.end()
		rows, err := b.store.Attach(b.Context(), s.ID, "c:a", false)
		if err != nil || !rows[0].Settled.Contains(1) {
			t.Errorf("settled %v (%v), want 1", rows, err)
		}
	})
}
