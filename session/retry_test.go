package session

import (
	"testing"
	"time"

	"github.com/fastport/fastport/storage"
)

// thrice makes sessions that try three times more.
func thrice(s *storage.Session) { s.MaxRetryLimit = 3 }

func TestRetry_ComesEachIntervalUntilItIsGivenUp(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s", thrice)
		n := b.node()
		sub, keep, sender := n.connect("s", "c:a", 2), n.connect("s", "c:b", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		keep.subscribe("t")
		sender.publishAll("t", ids(1, 2))
		sub.wantGot("m1 m2")
		time.Sleep(4900 * time.Millisecond)
		sub.wantGot("")
		time.Sleep(200 * time.Millisecond)
		sub.wantGot("m1+1 m2+1")
		sub.ack("m2")
		time.Sleep(5100 * time.Millisecond)
		sub.wantGot("m1+2")
		time.Sleep(5100 * time.Millisecond)
		sub.wantGot("m1+3")
		time.Sleep(20 * time.Second)
		sub.wantGot("")
		if given := n.Stats().GivenUp; given != 3 { // and both of b's
			t.Errorf("given up %d, want 3", given)
		}
		sub.leave()
		n.connect("s", "c:a", 2).wantGot("")
	})
}

func TestRetry_EphemeralSubscribersToo(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s", thrice)
		n := b.node()
		sub, sender := n.connect("s", "", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.publish("t", "m1")
		time.Sleep(21 * time.Second)
		sub.wantGot("m1 m1+1 m1+2 m1+3")
	})
}

func TestRetry_LimitOfZeroTriesOnce(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s", func(s *storage.Session) { s.MaxRetryLimit = 0 })
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.publish("t", "m1")
		time.Sleep(6 * time.Second)
		sub.wantGot("m1")
		sub.leave()
		n.connect("s", "c:a", 2).wantGot("")
	})
}

// Rule 11: else a dead socket would use up every try.
func TestRetry_PongMustFollowTry(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s", thrice)
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sub.set(func() { sub.dead = true })
		sender.publish("t", "m1")
		time.Sleep(time.Minute)
		sub.wantGot("m1") // nothing more went into a socket that may be dead
		if given := n.Stats().GivenUp; given != 0 {
			t.Errorf("given up %d for a socket that never answered", given)
		}
		sub.peer.Alive(time.Now().Add(-time.Hour)) // an old ping's
		sub.wantGot("")
		sub.set(func() { sub.dead = false })
		sub.peer.Alive(time.Now())
		sub.wantGot("m1+1")
		time.Sleep(5100 * time.Millisecond)
		sub.wantGot("m1+2")
	})
}

// An older ping's pong may have stood for the one that was asked for: another is asked for.
func TestRetry_PongOfAnEarlierPingAsksAgain(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s", thrice)
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sub.set(func() { sub.dead = true })
		before := time.Now()
		time.Sleep(time.Second)
		sender.publish("t", "m1")
		time.Sleep(10 * time.Second)
		sub.set(func() { sub.dead = false })
		sub.peer.Alive(before)
		time.Sleep(10 * time.Millisecond)
		sub.wantGot("m1 m1+1")
		sub.set(func() {
			if sub.pinged != 2 {
				t.Errorf("%d pings, want 2", sub.pinged)
			}
		})
	})
}

func TestRetry_TimeOfflineCountsNothing(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s", thrice)
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sub.leave()
		sender.publish("t", "m1")
		time.Sleep(time.Minute)
		again := n.connect("s", "c:a", 2)
		again.wantGot("m1!")
		time.Sleep(5100 * time.Millisecond)
		again.wantGot("m1+1")
	})
}

func TestExpiry_EndsRetriesAndReplays(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s", func(s *storage.Session) { s.MessageExpiry = 12 * time.Second })
		n := b.node()
		sub, away, sender := n.connect("s", "c:a", 2), n.connect("s", "c:b", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		away.subscribe("t")
		away.leave()
		sender.publish("t", "m1")
		time.Sleep(11 * time.Second)
		sub.wantGot("m1 m1+1 m1+2")
		time.Sleep(time.Minute)
		sub.wantGot("")
		n.connect("s", "c:b", 2).wantGot("")
	})
}

// A window whose messages all expired long before their next try must not stay full until then.
func TestExpiry_FreesTheWindow(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s", func(s *storage.Session) { s.MessageExpiry, s.RetryInterval = 10*time.Second, time.Hour })
		n := b.node(func(c *Config) { c.MaxInFlight = 1 })
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.publish("t", "m1")
		time.Sleep(6 * time.Second)
		sender.publish("t", "m2")
		sub.wantGot("m1")
		time.Sleep(5 * time.Second)
		sub.wantGot("m2!")
	})
}

func (d *device) set(change func()) { d.mu.Lock(); change(); d.mu.Unlock() }
