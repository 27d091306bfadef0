// Package prometheus shows operators what a node counts, in Prometheus's form.
//
// Nothing is counted here. A scrape reads each part's snapshot and turns it into samples, so that a publish pays for no
// more than the atomic adds of its own part. The table in families.go is all that a node exports besides Go's and the
// process's own figures; docs/operations.md says of each what to watch for. Labels come from closed sets: no name of a
// session, a topic or a user is ever one.
package prometheus

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/fcm"
	"github.com/fastport/fastport/gateway"
	"github.com/fastport/fastport/metrics"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
)

// Engine is what the engine tells.
type Engine interface {
	Stats() session.Stats
	Pending() session.Pending
}

// Gateway is what the sockets tell.
type Gateway interface {
	Stats() gateway.Stats
}

// Catalog is what checking credentials came to.
type Catalog interface {
	Stats() session.CatalogStats
}

// Store is what the store holds.
type Store interface {
	Totals(ctx context.Context) (storage.Totals, error)
}

// Pusher is what came of pushes.
type Pusher interface {
	Stats() fcm.Stats
}

var (
	_ Pusher  = (*fcm.Pusher)(nil)
	_ Engine  = (*session.Node)(nil)
	_ Gateway = (*gateway.Server)(nil)
	_ Catalog = (*session.Catalog)(nil)
	_ Store   = storage.Store(nil)
)

// Health is how a node does, in words from two closed sets.
type Health struct {
	Faults   map[string]bool // why it is not ready
	Degraded map[string]bool // what does not work elsewhere
}

// Sources is where the figures come from.
type Sources struct {
	Version  string // of the build
	Engine   Engine
	Gateway  Gateway
	Catalog  Catalog
	Pusher   Pusher
	Store    Store
	Plane    backplane.Metered // nil: a node alone
	HTTP     *metrics.Labels   // refused HTTP requests, by code
	Health   func() Health     // every word is a key
	Deadline time.Duration     // for what the store is asked; 0: 1 s
}

const (
	readEvery   = time.Second      // however many scrape: the walk over all windows is not theirs to ask for at will
	totalsEvery = 10 * time.Second // the same for the store
	scrapes     = 3                // at once; further ones get 503
)

// Handler serves the figures.
func Handler(s Sources) http.Handler {
	if s.Deadline == 0 {
		s.Deadline = time.Second
	}
	r := prom.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	build := prom.NewGauge(prom.GaugeOpts{Name: "fastport_build_info", Help: "What runs here; always 1.",
		ConstLabels: prom.Labels{"version": s.Version, "goversion": runtime.Version()}})
	build.Set(1)
	r.MustRegister(build, &collector{sources: s})
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: scrapes})
}

// snapshot is all parts' figures of about one moment.
type snapshot struct {
	engine  session.Stats
	pending session.Pending
	gateway gateway.Stats
	catalog session.CatalogStats
	pushes  fcm.Stats
	plane   backplane.Stats
	http    map[string]uint64
	health  Health
	totals  *storage.Totals // nil: the store did not say
}

// collector is a prom.Collector over the parts.
type collector struct {
	sources Sources

	mu      sync.Mutex // guards the following, and has scrapes that come together share one reading
	read    time.Time
	samples []prom.Metric
	asked   time.Time
	totals  *storage.Totals
}

// Describe lists all families, so that two of one name are refused at the start.
func (c *collector) Describe(to chan<- *prom.Desc) {
	for i := range families {
		to <- families[i].desc
	}
}

// Collect reads the parts, at most once a second.
func (c *collector) Collect(to chan<- prom.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.read) >= readEvery {
		s := c.snapshot()
		c.samples = c.samples[:0]
		for i := range families {
			f := &families[i]
			f.read(s, func(m prom.Metric) { c.samples = append(c.samples, m) })
		}
		c.read = time.Now()
	}
	for _, m := range c.samples {
		to <- m
	}
}

// snapshot asks every part. mu is held.
func (c *collector) snapshot() *snapshot {
	s := &snapshot{
		engine: c.sources.Engine.Stats(), pending: c.sources.Engine.Pending(), gateway: c.sources.Gateway.Stats(),
		catalog: c.sources.Catalog.Stats(), pushes: c.sources.Pusher.Stats(), http: c.sources.HTTP.Read(), health: c.sources.Health(), totals: c.storeTotals(),
	}
	if c.sources.Plane != nil {
		s.plane = c.sources.Plane.Stats()
	} else {
		s.plane.RoundTrip = new(metrics.Times).Read()
	}
	return s
}

// storeTotals asks the store every now and then; nil where it did not say. mu is held.
func (c *collector) storeTotals() *storage.Totals {
	if time.Since(c.asked) < totalsEvery {
		return c.totals
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.sources.Deadline)
	defer cancel()
	totals, err := c.sources.Store.Totals(ctx)
	c.asked, c.totals = time.Now(), nil
	if err == nil {
		c.totals = &totals
	}
	return c.totals
}
