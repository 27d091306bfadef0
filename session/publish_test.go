package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"
)

func TestPublish_ReachesSubscribersButNotItsConnection(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		durable, ephemeral, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2), n.connect("s", "", 2)
		for _, d := range []*device{durable, ephemeral, sender} {
			d.subscribe("t")
		}
		sender.publish("t", "m1")
		sender.wantAcks("m1=1")
		durable.wantGot("m1")
		ephemeral.wantGot("m1")
		sender.wantGot("")
	})
}

func TestPublish_WithoutDurableSubscriberIsAckedWithoutSeq(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.publish("t", "m1")
		sender.wantAcks("m1")
		sub.wantGot("m1")
	})
}

func TestPublish_Version1IsToldInBothWays(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		one, two, sender := n.connect("s", "", 1), n.connect("s", "c:x", 2), n.connect("s", "", 1)
		one.subscribe("t")
		two.subscribe("t")
		sender.subscribe("t")
		sender.publish("t", "m1")
		f := sender.last(protocol.TypePublishResponse)
		if !f.Success || f.DeliveredTo != 2 || string(f.MessageID) != "m1" {
			t.Errorf("publish_response = %+v, want a success, delivered to 2", f)
		}
		sender.wantAcks("m1=1")
	})
}

func TestPublish_RepeatKeepsItsSeqAndReachesNobodyAgain(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, eph, sender, other := n.connect("s", "c:a", 2), n.connect("s", "", 2), n.connect("s", "", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		eph.subscribe("t")
		sender.publish("t", "m1")
		sender.publish("t", "m2")
		sender.publish("t", "m1", `"retry":true`)
		sender.publish("t", "m1")
		other.publish("t", "m1", `"retry":true`)
		sender.wantAcks("m1=1 m2=2 m1=1 m1=1")
		other.wantAcks("m1=1")
		sub.wantGot("m1 m2")
		eph.wantGot("m1 m2")
	})
}

func TestPublish_TwiceAtOnceIsOneMessage(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, one, two := n.connect("s", "c:a", 2), n.connect("s", "", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		copies := 0
		n.plane.set(func(p *faultyPlane) { p.loseCopy = func(*backplane.Copy) bool { copies++; return false } })
		b.store.hold()
		one.publish("t", "m1")
		two.publish("t", "m1")
		b.store.mend()
		one.wantAcks("m1=1")
		two.wantAcks("m1=1")
		sub.wantGot("m1")
		if copies != 1 {
			t.Errorf("announced %d times, want once", copies)
		}
	})
}

func TestPublish_ResendOfWhatWasNotStoredIsFlagged(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.publish("t", "m1", `"retry":true`)
		sender.wantAcks("m1")
		sub.wantGot("m1+1")
		time.Sleep(5100 * time.Millisecond)
		sub.wantGot("m1+2")
	})
}

func TestPublish_IsDeliveredBeforeItsCommitAndAckedBehindIt(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		b.store.hold()
		sender.publish("t", "m1")
		sub.wantGot("m1")
		sender.wantAcks("")
		b.store.mend()
		sender.wantAcks("m1=1")
	})
}

func TestPublish_WhatComesWhileAGroupCommitsIsTheNextGroup(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		b.store.hold()
		before := n.Stats().CommitSize.Count()
		for i := range 100 {
			sender.publish("t", fmt.Sprint("m", i))
		}
		b.store.mend()
		synctest.Wait()
		if groups := n.Stats().CommitSize.Count() - before; groups != 2 {
			t.Errorf("100 publishes, the first of them stalled, took %d groups, want 2", groups)
		}
		if acks := strings.Fields(sender.acks()); len(acks) != 100 || acks[99] != "m99=100" {
			t.Errorf("acks = %v, want m0=1 to m99=100", acks)
		}
	})
}

func TestPublish_StoreGoneIsUnavailableAfter5s(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 1)
		sub.subscribe("t")
		b.store.fail(storage.ErrUnavailable)
		sender.publish("t", "m1")
		time.Sleep(1500 * time.Millisecond) // a version 1 client on a fresh node: it might be a resend
		sub.wantGot("m1")
		sub.ack("m1")
		time.Sleep(3400 * time.Millisecond)
		sender.wantAcks("")
		time.Sleep(300 * time.Millisecond)
		if f := sender.last(protocol.TypePublishResponse); !f.Retryable {
			t.Errorf("publish_response = %+v, want it retryable", f)
		}
		sender.wantAcks("m1:unavailable")
		b.store.mend()
		time.Sleep(2 * time.Second)
		sender.wantAcks("") // one answer
		sender.publish("t", "m1", `"retry":true`)
		sender.wantAcks("m1=1")
		sub.wantGot("")
	})
}

func TestPublish_IsAckedAgainSoonAfterTheStoreIsBack(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		b.store.fail(storage.ErrUnavailable)
		sender.publish("t", "m1")
		time.Sleep(3 * time.Second)
		b.store.mend()
		time.Sleep(1100 * time.Millisecond)
		sender.wantAcks("m1=1")
	})
}

func TestPublish_CommittedWithoutAWordIsAckedWithItsSeq(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, eph, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		eph.subscribe("t")
		b.store.untold(1)
		sender.publish("t", "m1", `"retry":true`)
		time.Sleep(time.Second)
		sender.wantAcks("m1=1")
		sub.wantGot("m1+1")
		eph.wantGot("m1+1")
	})
}

// Rule 8: nothing of the connection overtakes a publish that must be appended before it is announced.
func TestPublish_BehindAnUndecidedResendStaysInOrder(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender, other := n.connect("s", "c:a", 2), n.connect("s", "", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		b.store.hold()
		sender.publish("t", "m1", `"retry":true`)
		sender.publish("t", "m2")
		other.publish("t", "m3")
		sub.wantGot("m3")
		b.store.mend()
		sub.wantGot("m1+1 m2")
		sender.publish("t", "m4")
		b.store.hold()
		sender.publish("t", "m5") // all is decided: live again
		sub.wantGot("m4 m5")
	})
}

func TestPublish_AckWaitsForTheBackplane3sAtMost(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		n.plane.set(func(p *faultyPlane) { p.mute = true })
		sender.publish("t", "m1")
		time.Sleep(2900 * time.Millisecond)
		sender.wantAcks("")
		time.Sleep(300 * time.Millisecond)
		sender.wantAcks("m1=1")
	})
}

func TestPublish_AckWaitsForItsNote(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		n.plane.set(func(p *faultyPlane) { p.muteNotes = true })
		sender.publish("t", "m1")
		sender.wantAcks("")
		time.Sleep(3200 * time.Millisecond)
		sender.wantAcks("m1=1")
	})
}

// What was announced and never tried is known to have failed: nobody keeps it in flight.
func TestPublish_RefusedInTheQueueIsNotCommittedLater(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		b.store.hold()
		sender.publish("t", "m1") // in the group that hangs
		sender.publish("t", "m2") // behind it
		sub.wantGot("m1 m2")
		time.Sleep(5200 * time.Millisecond)
		sender.wantAcks("m1:unavailable m2:unavailable")
		sub.got()
		b.store.mend()
		time.Sleep(6 * time.Second)
		if got := sub.got(); got != "m1+2" {
			t.Errorf("got %q, want m1, of which nobody knows, and m2 no more", got)
		}
		sender.publish("t", "m3")
		sender.wantAcks("m3=1")
	})
}

func TestPublish_NeitherStoredNorAnnouncedIsUnavailable(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sender := n.connect("s", "", 2)
		n.plane.set(func(p *faultyPlane) { p.mute = true })
		sender.publish("t", "m1")
		sender.publish("t", "m2", `"qos":0`)
		sender.wantAcks("")
		time.Sleep(1200 * time.Millisecond)
		sender.wantAcks("m1:unavailable m2:unavailable")
	})
}

func TestPublish_RefusedByTheStoreIsNoLongerRetried(t *testing.T) {
	onBed(t, func(b *bed) {
		b.store.Store = memory.Open(storage.Options{StoredBytes: 15}, time.Now)
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.publish("t", "m1")
		sender.publish("t", "m2")
		sender.wantAcks("m1=1 m2:quota_exceeded")
		sub.wantGot("m1 m2")
		time.Sleep(6 * time.Second)
		sub.wantGot("m1+1")
	})
}

func TestPublish_BeyondTheQueueIsRefusedAtOnce(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node(func(c *Config) { c.QueueBytes = 25 })
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		b.store.hold()
		for _, id := range []string{"m1", "m2", "m3"} { // of 10 bytes each
			sender.publish("t", id)
		}
		sender.wantAcks("m3:unavailable")
		sub.wantGot("m1 m2")
		b.store.mend()
		sender.wantAcks("m1=1 m2=2")
		sender.publish("t", "m3", `"retry":true`)
		sender.wantAcks("m3=3")
	})
}

func TestPublish_AtMostOnceIsNeverStoredNorRetried(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node(func(c *Config) { c.MaxInFlight = 1 })
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.publish("t", "q1", `"qos":0`)
		sender.publish("t", "q2", `"qos":0`)
		if f := sub.last(protocol.TypeMessage); f.QoS != 0 {
			t.Errorf("qos = %d, want 0", f.QoS)
		}
		sub.wantGot("q1 q2")
		sender.publish("t", "m1")
		sender.publish("t", "q3", `"qos":0`) // the window is full
		sender.wantAcks("q1 q2 m1=1 q3")
		time.Sleep(6 * time.Second)
		sub.wantGot("m1 m1+1")
	})
}

func TestPublish_SessionRateIsKept(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node(func(c *Config) { c.SessionMessageRate = 2 })
		one, two := n.connect("s", "", 2), n.connect("s", "", 2)
		one.publish("t", "m1")
		two.publish("t", "m2")
		one.publish("t", "m3")
		one.wantAcks("m1 m3:rate_limited")
		two.wantAcks("m2")
		time.Sleep(time.Second)
		one.publish("t", "m3", `"retry":true`)
		one.wantAcks("m3")
	})
}

func TestPublish_IsCheckedBeforeAnythingIsDone(t *testing.T) {
	now := func(by time.Duration) string { return fmt.Sprint(time.Now().Add(by).UnixMilli()) }
	sealed := "2." + strings.Repeat("A", 60)
	sum := sha256.Sum256([]byte("plain"))
	onBed(t, func(b *bed) {
		b.session("any")
		b.session("two", func(s *storage.Session) { s.Suite = 2 })
		n := b.node()
		for _, c := range []struct {
			name, session, fields string
			want                  protocol.Code
		}{
			{"right hash", "any", `"data":"plain","hash":"` + hex.EncodeToString(sum[:]) + `"`, ""},
			{"wrong hash", "any", `"data":"plain!","hash":"` + hex.EncodeToString(sum[:]) + `"`, protocol.HashMismatch},
			{"hash in capitals", "any", `"data":"plain","hash":"` + strings.ToUpper(hex.EncodeToString(sum[:])) + `"`, protocol.BadRequest},
			{"no data", "any", `"hash":"` + hex.EncodeToString(sum[:]) + `"`, protocol.BadRequest},
			{"suite 2 now", "any", `"data":"` + sealed + `","timestamp":` + now(0), ""},
			{"suite 2 in an old frame", "any", `"data":"` + sealed + `","timestamp":` + now(-11*time.Minute), protocol.Expired},
			{"suite 2 ahead", "any", `"data":"` + sealed + `","timestamp":` + now(6*time.Minute), protocol.ClockSkew},
			{"suite 2 without a time", "any", `"data":"` + sealed + `"`, protocol.BadRequest},
			{"suite 1 of any time", "any", `"data":"aXY=:Y3Q=","timestamp":1`, ""},
			{"plain text that looks like it", "any", `"data":"2.5 degrees","timestamp":1`, ""},
			{"plain text in a session of suite 2", "two", `"data":"plain","timestamp":` + now(0), protocol.BadRequest},
			{"suite 2 in a session of suite 2", "two", `"data":"` + sealed + `","timestamp":` + now(0), ""},
		} {
			d := n.connect(c.session, "", 2)
			d.send(`{"type":"publish","topic":"t","messageId":"m",` + c.fields + `}`)
			want := "m"
			if c.want != "" {
				want += ":" + string(c.want)
			}
			if got := d.acks(); got != want {
				t.Errorf("%s: %q, want %q", c.name, got, want)
			}
		}
	})
}

func TestPublish_TimestampsAreHeldAgainstTheStoresClock(t *testing.T) {
	onBed(t, func(b *bed) {
		b.store.Store = memory.Open(storage.Options{}, func() time.Time { return time.Now().Add(-5 * time.Hour) })
		b.session("s")
		n := b.node()
		d := n.connect("s", "", 2)
		if at := time.UnixMilli(d.last(protocol.TypeInitResponse).ServerTime); time.Since(at) < 4*time.Hour {
			t.Errorf("serverTime = %v, want the store's, five hours ago", at)
		}
		d.send(fmt.Sprintf(`{"type":"publish","topic":"t","messageId":"m","data":"2.%s","timestamp":%d}`,
			strings.Repeat("A", 60), time.Now().Add(-5*time.Hour).UnixMilli()))
		d.wantAcks("m")
	})
}

func TestNodePublish_AnswersWhenItIsAcked(t *testing.T) {
	onBed(t, func(b *bed) {
		s := b.session("s")
		n := b.node()
		sub := n.connect("s", "c:a", 2)
		sub.subscribe("t")
		b.store.hold()
		answered := make(chan Published, 1)
		go func() {
			p, err := n.Publish(context.Background(), s, Publication{Topic: "t", MessageID: "m1", Data: []byte("x")})
			if err != nil {
				t.Errorf("Publish: %v", err)
			}
			answered <- p
		}()
		sub.wantGot("m1")
		select {
		case <-answered:
			t.Error("answered before the commit")
		default:
		}
		b.store.mend()
		if p := <-answered; p.Seq != 1 || p.DeliveredTo != 1 {
			t.Errorf("Published = %+v, want seq 1 to 1", p)
		}
		_, err := n.Publish(context.Background(), s, Publication{Topic: "$server", MessageID: "m2"})
		var refused *protocol.Error
		if !errors.As(err, &refused) || refused.Code != protocol.BadRequest {
			t.Errorf("Publish on the server's topic: %v, want bad_request", err)
		}
	})
}

// What only caution holds back goes out after a second without the store, but not past one that must wait for it.
func TestPublish_WhatCautionHoldsBackDoesNotOvertakeWhatMustWait(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub := n.connect("s", "c:a", 2)
		sub.subscribe("t")
		sub.subscribe("other")
		sender := n.connect("s", "", 1)
		b.store.hold()
		n.pulse.still.Store(n.clock())
		sender.hand(publishFrame("t", "m1"))
		n.pulse.still.Store(0) // the five seconds are over
		sender.hand(publishFrame("t", "m2"))
		sender.hand(publishFrame("other", "m3"))
		time.Sleep(1500 * time.Millisecond)
		sub.wantGot("m3")
		b.store.mend()
		synctest.Wait()
		sub.wantGot("m1 m2")
	})
}

// Two senders of one message, or one that changes nodes and does not say that it sends again: by its stamp the message
// was made some time ago. Whoever moved to a node that knows of no earlier copy must not get it anew.
func TestPublish_WhatWasStampedAWhileAgoIsLookedUpBeforeItIsAnnounced(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		near, far := b.node(), b.node()
		sub := near.connect("s", "c:a", 2)
		sub.subscribe("t")
		stamp := fmt.Sprintf(`"timestamp":%d`, time.Now().UnixMilli())
		stamped := func(id string) string { return strings.Replace(publishFrame("t", id), `"timestamp":1`, stamp, 1) }
		near.connect("s", "", 2).send(stamped("m1"))
		sub.wantGot("m1")
		sub.ack("m1")
		sub.leave()
		moved := far.connect("s", "c:a", 2)
		time.Sleep(5 * time.Second)
		twin := far.connect("s", "", 2)
		twin.send(stamped("m1"))
		twin.wantAcks("m1=1")
		moved.wantGot("")

		// Without the store nobody knows. It goes out, but not as new.
		b.store.hold()
		twin.hand(stamped("m2"))
		time.Sleep(1500 * time.Millisecond)
		moved.wantGot("m2+1")
		b.store.mend()
		synctest.Wait()
		twin.send(stamped("m3")) // stored through here, but perhaps announced through another node
		moved.wantGot("m3+1")
	})
}

// A publisher of version 1 that was refused sends again without saying so. To whoever came meanwhile it is out of its
// place among what others had live: it must not look like a first try.
func TestPublish_WhatIsAnnouncedOnceMoreGoesOutAsARetry(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		near, far := b.node(), b.node()
		sub := near.connect("s", "c:a", 2)
		sub.subscribe("t")
		sender := near.connect("s", "", 1)
		m1 := strings.Replace(publishFrame("t", "m1"), `"timestamp":1`, fmt.Sprintf(`"timestamp":%d`, time.Now().UnixMilli()), 1)
		b.store.hold()
		sender.hand(m1)
		time.Sleep(6 * time.Second)
		sub.wantGot("m1")
		sender.wantAcks("m1:unavailable")
		late := far.connect("s", "", 2)
		late.subscribe("t")
		sender.hand(m1)
		b.store.mend()
		time.Sleep(2 * time.Second)
		sender.wantAcks("m1=1")
		late.wantGot("m1+1")
	})
}
