package redis

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/backplane/backplanetest"
	"github.com/fastport/fastport/internal/testenv"
)

// tests gives each Cluster of a shared Redis a prefix of its own.
var tests atomic.Int64

// wallClock is a cluster on a real Redis, whose leases end by its clock.
type wallClock struct{ options Options }

func (c wallClock) Node(t *testing.T, id string) backplane.Backplane {
	return openNode(t, c.options, id)
}
func (wallClock) Pass(d time.Duration) { time.Sleep(d) }

// openNode opens a node whose link is up.
func openNode(t testing.TB, o Options, id string) *Backplane {
	t.Helper()
	o.NodeID = id
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	deadline := time.Now().Add(patience)
	for b.link.Load() == nil {
		if time.Now().After(deadline) {
			t.Fatalf("no link within %v: %v", patience, b.Fault())
		}
		time.Sleep(5 * time.Millisecond)
	}
	return b
}

// patience bounds every wait of these tests: the machine may be busy.
const patience = 30 * time.Second

func runSuite(t *testing.T, o Options) {
	backplanetest.Run(t, func(*testing.T) backplanetest.Cluster {
		o.Prefix = fmt.Sprintf("t%d:", tests.Add(1))
		return wallClock{o}
	})
}

func TestBackplane_Standalone(t *testing.T) {
	t.Parallel()
	runSuite(t, Options{URL: "redis://" + testenv.Redis(t)})
}

func TestBackplane_Cluster(t *testing.T) {
	t.Parallel()
	runSuite(t, Options{URLs: testenv.StartRedisCluster(t, false).URLs()})
}

func TestBackplane_Sentinel(t *testing.T) {
	t.Parallel()
	runSuite(t, Options{URL: testenv.StartRedisSentinel(t).URL()})
}
