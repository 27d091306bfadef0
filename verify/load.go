package verify

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
)

// Sessions of a run, by number.
const (
	mainSession  = iota // the load, over the SDK, sealed
	plainSession        // sockets, of both versions; same topics, so that what crosses sessions is seen
	shortSession        // messages soon expire, and subscribers come late
	probeSession
	sessionCount
)

// shortExpiry is how long a message of the shortSession lives.
const shortExpiry = 3 * time.Second

// LoadOptions say how much is published and to whom. Zero means the default.
type LoadOptions struct {
	URLs       []string // http:// or https://, of nodes or of what stands before them
	AdminToken string   // where only operators make sessions
	TLS        *tls.Config

	Rate        int // messages a second over all; default 1,000
	Topics      int // default 50
	Subscribers int // durable ones, over the SDK; default 100
	Each        int // topics of one subscriber; default 2
	Size        int // bytes of a payload; default 128
	Suite       int // default 2
	Seed        uint64

	dedupe int // of the SDK; for tests that make it forget
}

func (o *LoadOptions) setDefaults() {
	o.Rate = cmp.Or(o.Rate, 1000)
	o.Topics = cmp.Or(o.Topics, 50)
	o.Subscribers = cmp.Or(o.Subscribers, 100)
	o.Each = cmp.Or(o.Each, 2)
	o.Size = cmp.Or(o.Size, 128)
	o.Suite = cmp.Or(o.Suite, 2)
	o.Each = min(o.Each, o.Topics)
}

// tenant is one of the run's sessions.
type tenant struct {
	name, password string
	key            e2ee.Key
	keys           *e2ee.KeyRing
	secret         string // drops it; "": it was not made
}

// load is the clients of a run.
type load struct {
	o       LoadOptions
	check   *Checker
	tenants []*tenant
	begun   time.Time

	mu  sync.Mutex // guards the following
	rng *mathrand.Rand

	publishers []*publisher
	peers      []*peer
	sleeper    *peer // sleeps now and then
	sources    []source
	receipts   sync.WaitGroup
	ended      chan struct{} // closed when nothing new is published any more
	over       chan struct{} // closed when nothing is waited for any more
}

// source publishes at a part of the rate.
type source struct {
	topics  []int
	share   float64 // of the rate
	publish func(ctx context.Context, topic int) bool
}

func newLoad(o LoadOptions) *load {
	o.setDefaults()
	run := strings.ToLower(rand.Text()[:8])
	expiries := make([]time.Duration, sessionCount)
	expiries[shortSession] = shortExpiry
	l := &load{
		o: o, check: NewChecker(run, o.Size, expiries...), begun: time.Now(),
		rng:   mathrand.New(mathrand.NewPCG(o.Seed, 1)),
		ended: make(chan struct{}), over: make(chan struct{}),
	}
	for i := range sessionCount {
		t := &tenant{name: fmt.Sprintf("verify-%s-%d", run, i), password: rand.Text(), key: e2ee.NewKey()}
		l.tenants = append(l.tenants, t)
	}
	return l
}

// now is the time since the load was made.
func (l *load) now() time.Duration { return time.Since(l.begun) }

// jitter is a random part of d.
func (l *load) jitter(d time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.rng.Int64N(int64(d)))
}

// pick is a random number below n.
func (l *load) pick(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rng.IntN(n)
}

// random is a name that nothing else has.
func (l *load) random() string { return rand.Text() }

// prefer is all URLs, beginning with the i-th.
func (l *load) prefer(i int) []string {
	i %= len(l.o.URLs)
	return append(append([]string{}, l.o.URLs[i:]...), l.o.URLs[:i]...)
}

// create makes the sessions, through whichever URL answers.
func (l *load) create(ctx context.Context) error {
	for i, t := range l.tenants {
		keys, err := e2ee.NewKeyRing(t.name, t.key)
		if err != nil {
			return err
		}
		t.keys = keys
		spec := client.SessionSpec{SessionName: t.name, Password: t.password, Key: t.key, AdminToken: l.o.AdminToken, SessionExpiry: 48 * time.Hour}
		switch i {
		case mainSession:
			if l.o.Suite == 2 {
				spec.Suite = 2
			}
		case shortSession:
			spec.MessageExpiry, spec.RetryInterval = shortExpiry, time.Second
		}
		for _, url := range l.o.URLs {
			if t.secret, err = client.CreateSession(ctx, url, spec); err == nil {
				break
			}
		}
		if err != nil {
			return fmt.Errorf("verify: create a session: %w", err)
		}
	}
	return nil
}

// drop deletes the sessions, as well as it can.
func (l *load) drop(ctx context.Context) error {
	var errs []error
	for _, t := range l.tenants {
		if t.secret == "" {
			continue
		}
		var err error
		for _, url := range l.o.URLs {
			if err = client.DropSession(ctx, url, client.SessionAdmin{SessionName: t.name, Password: t.password, SecretKey: t.secret}); err == nil {
				break
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// start starts all subscribers and publishers, and returns once they are connected and subscribed. They end with ctx;
// wg is done when they have.
func (l *load) start(ctx context.Context, wg *sync.WaitGroup) error {
	p := plan{l: l, ctx: ctx, wg: wg}
	p.subscribers()
	p.strangers()
	p.plain()
	p.short()
	if err := p.wait(); err != nil {
		return fmt.Errorf("verify: start the load: %w", err)
	}
	return p.publishersOf()
}

// publish publishes at the rate until ctx ends, and returns how often something was held back because it could not be queued.
func (l *load) publish(ctx context.Context) (held int64) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, s := range l.sources {
		wg.Go(func() {
			n := l.pace(ctx, s)
			mu.Lock()
			held += n
			mu.Unlock()
		})
	}
	wg.Wait()
	close(l.ended)
	return held
}

// maxBurst is how many messages go out at once on one topic, so that some are under way together.
const maxBurst = 3

// pace publishes a source's share. What it falls behind while it cannot publish, it does not make up for.
func (l *load) pace(ctx context.Context, s source) (held int64) {
	interval := time.Duration(float64(time.Second) / (float64(l.o.Rate) * s.share))
	for next := time.Now(); ctx.Err() == nil; {
		topic, burst := s.topics[l.pick(len(s.topics))], 1+l.pick(maxBurst)
		for range burst {
			if !s.publish(ctx, topic) {
				held++
			}
		}
		next = next.Add(time.Duration(burst) * interval)
		if behind := time.Since(next); behind > time.Second {
			next = next.Add(behind)
		}
		pause(ctx, time.Until(next))
	}
	return held
}

// settle waits until every publish is answered and all that is owed has been handed over, or ctx ends.
func (l *load) settle(ctx context.Context) {
	for ctx.Err() == nil {
		deliveries, acks := l.check.Outstanding()
		left := deliveries + acks
		for _, p := range l.peers {
			left += p.unanswered()
		}
		if left == 0 {
			return
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// finish gives up waiting, and has the Checker judge the rest.
func (l *load) finish() {
	close(l.over)
	l.receipts.Wait()
	l.check.Finish(l.now())
	for _, p := range l.peers {
		if n := p.halfAnswered(); n > 0 {
			l.check.Broken(Unanswered, l.now(), "%s: %d publishes were acked, but not by every node and in every way that they must be", p.name(), n)
		}
	}
}

// group starts things and waits until each has told that it has started.
type group struct {
	errgroup.Group
}

// go1 is one that has started when started is called.
func (g *group) go1(wg *sync.WaitGroup, run func(started func(error))) {
	result := make(chan error, 1)
	wg.Go(func() {
		run(func(err error) {
			select {
			case result <- err:
			default:
			}
		})
	})
	g.Go(func() error { return <-result })
}
