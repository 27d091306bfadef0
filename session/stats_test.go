package session

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/backplane"
)

func TestStats_TimesEachPublishOnceAndEachDeliveryOnceANode(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		near, far := b.node(), b.node()
		sender := near.connect("s", "", 2)
		for i := range 3 {
			near.connect("s", fmt.Sprint("c:near", i), 2).subscribe("t")
			far.connect("s", fmt.Sprint("c:far", i), 2).subscribe("t")
		}
		b.store.hold()
		sender.publish("t", "m1")
		time.Sleep(2 * time.Second)
		b.store.mend()
		time.Sleep(time.Second)
		for name, n := range map[string]*bedNode{"near": near, "far": far} {
			s := n.Stats()
			if got := s.DeliveryTime.Count(); got != 1 || s.DeliveryTime.Sum != 0 {
				t.Errorf("%s: %d deliveries timed, %v s, want 1 of no time for 3 subscribers", name, got, s.DeliveryTime.Sum)
			}
		}
		s := near.Stats()
		if got := s.AckTime.Count(); got != 1 || s.AckTime.Sum < 2 || s.AckTime.Sum > 3 {
			t.Errorf("%d acks took %v s, want 1 of the 2 s that the store was held", got, s.AckTime.Sum)
		}
		if got := s.CommitTime.Count(); got != 1 || s.CommitTime.Sum < 2 || s.CommitSize.Sum != 1 {
			t.Errorf("%d groups took %v s with %v entries, want one of 2 s with 1", got, s.CommitTime.Sum, s.CommitSize.Sum)
		}
		if got := far.Stats(); got.AckTime.Count()+got.CommitTime.Count() != 0 {
			t.Error("a node counts another's publish")
		}
	})
}

// What a gap held back is late when it is delivered, not when it came, and by the clock of what carried it.
func TestStats_DeliveryTimeHasTheWayAndTheWaitForAGapInIt(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		near, far := b.node(), b.node()
		far.connect("s", "c:a", 2).subscribe("t")
		sender := near.connect("s", "", 2)
		far.plane.set(func(p *faultyPlane) {
			p.age = time.Second
			p.loseCopy = func(c *backplane.Copy) bool { return c.MessageID == "m1" }
		})
		sender.publish("t", "m1")
		sender.publish("t", "m2")
		time.Sleep(time.Second)
		if s := far.Stats(); s.DeliveryTime.Count() != 1 || s.DeliveryTime.Sum < 1.1 || s.DeliveryTime.Sum > 1.2 {
			t.Errorf("%d deliveries took %v s, want 1 of 1 s on its way and 0.1 s held", s.DeliveryTime.Count(), s.DeliveryTime.Sum)
		}
	})
}

func TestStats_ConnectionsAreCountedByTheirVersion(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		want := func(when string, versions ...int64) {
			t.Helper()
			if got := n.Stats(); !slices.Equal(got.ByVersion[:], versions) || got.Connections != versions[0]+versions[1]+versions[2] {
				t.Errorf("%s: connections = %v, %d in all, want %v", when, got.ByVersion, got.Connections, versions)
			}
		}
		want("at first", 0, 0, 0)
		stranger := n.dial("stranger")
		one, two, again := n.connect("s", "", 1), n.connect("s", "c:a", 2), n.connect("s", "c:a", 2)
		synctest.Wait()
		want("one taken over", 1, 1, 1)
		for _, d := range []*device{stranger, one, two, again} {
			d.leave()
		}
		synctest.Wait()
		want("all gone", 0, 0, 0)
	})
}

func TestStats_ErrorsAreCountedByCode(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		d := n.connect("s", "", 2)
		d.send(`{"type":"nonsense"}`)
		d.send(`{"type":"publish","topic":"t","messageId":"m","data":"x","hash":"00"}`)
		d.send(`{"type":"cancel_file","topic":"t","fileId":"6f1c2d9e-0000-4000-8000-000000000000"}`)
		n.dial("stranger").send(`{"type":"subscribe","topic":"t"}`)
		synctest.Wait()
		got := n.Stats().Errors
		for code, want := range map[string]uint64{"bad_request": 2, "not_found": 1, "not_initialized": 1, "other": 0, "internal": 0} {
			if n, known := got[code]; n != want || !known {
				t.Errorf("%s = %d, want %d, in %v", code, n, want, got)
			}
		}
	})
}

func TestPending_CountsByAgeUntilTheAck(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node(func(c *Config) { c.MaxInFlight = 2 })
		durable, ephemeral, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2), n.connect("s", "", 2)
		durable.subscribe("t")
		ephemeral.subscribe("t")
		for i := range 3 {
			sender.publish("t", fmt.Sprint("m", i))
		}
		synctest.Wait()
		if got := n.Pending(); got.All() != 5 || got[0] != 5 { // the durable one's third waits in the store
			t.Errorf("pending = %v, want 5 younger than a second", got)
		}
		time.Sleep(70 * time.Second)
		if got := n.Pending(); got.All() != 5 || got[3] != 5 {
			t.Errorf("a minute later: pending = %v, want 5 of one to ten minutes", got)
		}
		ephemeral.leave()
		durable.ack("m0")
		durable.ack("m1")
		time.Sleep(time.Second)
		// Read back from the store, the third is as old as it is.
		if got := n.Pending(); got.All() != 1 || got[3] != 1 {
			t.Errorf("after two acks: pending = %v, want one of a minute", got)
		}
	})
}

func TestHeartbeat_CarriesWhatTheNodeSaysOfItself(t *testing.T) {
	onBed(t, func(b *bed) {
		n := b.node(func(c *Config) {
			c.Describe = func(self *backplane.Node) {
				self.Version, self.Address, self.Figures = "1.2.3", "192.0.2.1:4000", []byte(`{"connections":7}`)
			}
		})
		nodes, err := n.plane.Nodes(b.Context())
		if err != nil || len(nodes) != 1 {
			t.Fatalf("nodes = %v, %v", nodes, err)
		}
		if got := nodes[0]; got.ID != "n1" || got.Version != "1.2.3" || got.Address != "192.0.2.1:4000" || string(got.Figures) != `{"connections":7}` || got.Started.IsZero() {
			t.Errorf("node = %+v", got)
		}
	})
}

func TestCatalogStats_TellChecksByWhatCameOfThem(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		c := NewCatalog(CatalogConfig{Store: b.store, Control: b.bus.Node("x")})
		for _, password := range []string{"password", "password", "wrong"} {
			_, _ = c.Authenticate(b.Context(), "s", password, netip.Addr{})
		}
		got := c.Stats()
		if got.Checks["right"] != 2 || got.Checks["wrong"] != 1 || got.Checks["busy"]+got.Checks["unavailable"]+got.Checks["other"] != 0 || got.Hashes != 2 {
			t.Errorf("checks = %v, %d hashes, want 2 right, 1 wrong, 2 hashes", got.Checks, got.Hashes)
		}
	})
}
