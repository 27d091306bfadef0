package session

import "testing"

func TestTenantStats_AreThisNodesAndTheSessionsOwn(t *testing.T) {
	onBed(t, func(b *bed) {
		s, other := b.session("s"), b.session("other")
		one, two := b.node(), b.node()
		one.connect("s", "c:a", 2).subscribe("t")
		one.connect("s", "u:ann", 2).subscribe("u")
		gone := one.connect("s", "", 2)
		gone.leave()
		one.connect("other", "c:a", 2)
		if got, want := one.TenantStats(s.ID), (TenantStats{Connections: 2, Subscribers: 2, Topics: 2}); got != want {
			t.Errorf("stats = %+v, want %+v", got, want)
		}
		if got, want := one.TenantStats(other.ID), (TenantStats{Connections: 1, Subscribers: 1}); got != want {
			t.Errorf("the other's = %+v, want %+v", got, want)
		}
		if got := two.TenantStats(s.ID); got != (TenantStats{}) {
			t.Errorf("another node's = %+v, want nothing", got)
		}
	})
}
