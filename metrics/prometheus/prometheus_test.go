package prometheus

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/fcm"
	"github.com/fastport/fastport/gateway"
	"github.com/fastport/fastport/metrics"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
	store "github.com/fastport/fastport/storage/memory"
)

// engine counts how often a real one is asked for what is dear.
type engine struct {
	*session.Node
	walks atomic.Int64
}

func (e *engine) Pending() session.Pending { e.walks.Add(1); return e.Node.Pending() }

// totals is a real store's, unless it is down.
type totals struct {
	storage.Store
	down  atomic.Bool
	asked atomic.Int64
	held  chan struct{} // nil, or answers wait for it
}

func (s *totals) Totals(ctx context.Context) (storage.Totals, error) {
	s.asked.Add(1)
	if s.held != nil {
		<-s.held
	}
	if s.down.Load() {
		<-ctx.Done() // as one that does not answer
		return storage.Totals{}, storage.ErrUnavailable
	}
	return s.Store.Totals(ctx)
}

type pusher struct{}

func (pusher) Stats() fcm.Stats { return fcm.Stats{} }

func handler(t *testing.T) (http.Handler, *engine, *totals) {
	t.Helper()
	s := &totals{Store: store.Open(storage.Options{}, time.Now)}
	plane := memory.NewBus().Node("n")
	catalog := session.NewCatalog(session.CatalogConfig{Store: s, Control: plane})
	n, err := session.New(session.Config{NodeID: "n", Store: s, Backplane: plane, Catalog: catalog})
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{Node: n}
	return Handler(Sources{
		Version: "v1", Engine: e, Gateway: gateway.New(gateway.DefaultConfig(), n, http.NotFoundHandler()), Catalog: catalog,
		Pusher: pusher{}, Store: s, HTTP: metrics.NewLabels("internal"), Health: func() Health { return Health{} },
	}), e, s
}

func scrape(t *testing.T, h http.Handler) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text, err := io.ReadAll(w.Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d %s %v", w.Code, text, err)
	}
	return string(text)
}

// Whoever reaches the port may ask as often as they like: what is dear is not read for each.
func TestScrapes_ShareOneReadingASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, e, s := handler(t)
		for range 5 {
			for range 20 {
				scrape(t, h)
			}
			time.Sleep(time.Second)
		}
		if walks, asked := e.walks.Load(), s.asked.Load(); walks != 5 || asked != 1 {
			t.Errorf("100 scrapes in 5 s walked the windows %d times and asked the store %d times, want 5 and 1", walks, asked)
		}
	})
}

func TestScrapes_WithoutTheStoreSayNothingOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _, s := handler(t)
		const sample = "\nfastport_stored_messages "
		if text := scrape(t, h); !strings.Contains(text, sample+"0") {
			t.Error("the store's figures are missing")
		}
		s.down.Store(true)
		time.Sleep(time.Minute)
		begun := time.Now()
		text := scrape(t, h)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("a store that does not answer held the scrape up for %v", took)
		}
		if strings.Contains(text, sample) || !strings.Contains(text, "\nfastport_publishes_total ") {
			t.Error("without the store there are figures of it, or none of anything else")
		}
		s.down.Store(false)
		time.Sleep(time.Minute)
		if text := scrape(t, h); !strings.Contains(text, sample+"0") {
			t.Error("the store's figures did not come back")
		}
	})
}

func TestScrapes_AtOnceAreBounded(t *testing.T) {
	h, _, s := handler(t)
	s.held = make(chan struct{})
	ask := func() int {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Code
	}
	const all = 3 * scrapes
	codes := make(chan int, all)
	for range all {
		go func() { codes <- ask() }()
	}
	for range all - scrapes { // the others wait for the store
		if code := <-codes; code != http.StatusServiceUnavailable {
			t.Errorf("a scrape beyond %d at once: %d, want 503", scrapes, code)
		}
	}
	close(s.held)
	for range scrapes {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("one of the first %d: %d, want 200", scrapes, code)
		}
	}
}

func TestHistogram_CountsUpToEachEnd(t *testing.T) {
	var sizes metrics.Sizes
	for _, size := range []int{1, 3, 3, 5000} {
		sizes.Observe(size)
	}
	f := histogram("test", "A test.", func(*snapshot) metrics.Histogram { return sizes.Read() })
	r := prom.NewRegistry()
	f.read(nil, func(m prom.Metric) { r.MustRegister(constant{m}) })
	text := scrape(t, promhttp.HandlerFor(r, promhttp.HandlerOpts{}))
	for _, want := range []string{`_bucket{le="1"} 1`, `_bucket{le="2"} 1`, `_bucket{le="4"} 3`, `_bucket{le="1024"} 3`, `_bucket{le="+Inf"} 4`, `_sum 5007`, `_count 4`} {
		if !strings.Contains(text, "\nfastport_test"+want+"\n") {
			t.Errorf("no fastport_test%s in\n%s", want, text)
		}
	}
}

// constant is a collector of one sample.
type constant struct{ prom.Metric }

func (c constant) Describe(to chan<- *prom.Desc) { to <- c.Desc() }
func (c constant) Collect(to chan<- prom.Metric) { to <- c.Metric }
