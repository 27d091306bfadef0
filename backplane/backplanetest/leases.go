package backplanetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/backplane"
)

func claim(t *testing.T, n backplane.Backplane, key, value string, ttl time.Duration) string {
	t.Helper()
	held, err := n.Claim(t.Context(), key, value, ttl)
	if err != nil {
		t.Fatalf("claim %s: %v", key, err)
	}
	return held
}

func holder(t *testing.T, n backplane.Backplane, key string) string {
	t.Helper()
	held, err := n.Holder(t.Context(), key)
	if err != nil {
		t.Fatalf("holder of %s: %v", key, err)
	}
	return held
}

func leaseHasOneHolder(t *testing.T, c Cluster) {
	a, _ := node(t, c, "a")
	b, _ := node(t, c, "b")
	if got := holder(t, b, "k"); got != "" {
		t.Fatalf("holder of nothing = %q", got)
	}
	if got := claim(t, a, "k", "a:1", time.Minute); got != "a:1" {
		t.Fatalf("first claim: held by %q", got)
	}
	if got := claim(t, b, "k", "b:1", time.Minute); got != "a:1" {
		t.Errorf("second claim: held by %q, want a:1", got)
	}
	if got := claim(t, a, "other", "a:2", time.Minute); got != "a:2" {
		t.Errorf("claim of another key: held by %q", got)
	}
	if err := b.Release(t.Context(), "k", "b:1"); err != nil {
		t.Fatalf("release: %v", err)
	}
	if got := holder(t, b, "k"); got != "a:1" {
		t.Errorf("holder after a stranger's release = %q, want a:1", got)
	}
	if err := a.Release(t.Context(), "k", "a:1"); err != nil {
		t.Fatalf("release: %v", err)
	}
	if got := claim(t, b, "k", "b:1", time.Minute); got != "b:1" {
		t.Errorf("claim of what was released: held by %q, want b:1", got)
	}
}

func leaseEnds(t *testing.T, c Cluster) {
	const ttl = 2 * time.Second
	a, _ := node(t, c, "a")
	b, _ := node(t, c, "b")
	claim(t, a, "k", "a", ttl)
	c.Pass(ttl / 2)
	if got := claim(t, a, "k", "a", ttl); got != "a" {
		t.Fatalf("renewal: held by %q", got)
	}
	c.Pass(ttl * 3 / 4)
	if got := holder(t, b, "k"); got != "a" {
		t.Fatalf("holder after a renewal = %q, want a", got)
	}
	c.Pass(ttl)
	if got := holder(t, b, "k"); got != "" {
		t.Errorf("holder of an ended lease = %q", got)
	}
	if got := claim(t, b, "k", "b", ttl); got != "b" {
		t.Errorf("claim of an ended lease: held by %q", got)
	}
}

func leaseRace(t *testing.T, c Cluster) {
	const claimants = 8
	held := make([]string, claimants)
	var wg sync.WaitGroup
	for i := range held {
		n, _ := node(t, c, fmt.Sprint("n", i))
		wg.Go(func() { held[i], _ = n.Claim(t.Context(), "k", fmt.Sprint(i), time.Minute) })
	}
	wg.Wait()
	for _, h := range held {
		if h == "" || h != held[0] {
			t.Fatalf("claimants at once were told %q: want one holder", held)
		}
	}
}
