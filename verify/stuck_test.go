package verify

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/gateway"
	"github.com/fastport/fastport/session"
)

const (
	testSilence = 12 * time.Second
	testStuck   = 12
	testOutbox  = 512 << 10
)

// endure loads a node a little, has clients fall silent on it, and tells what of that is too much. How long others' messages take
// is not looked at: it is this machine's affair.
func endure(t *testing.T, n served, fault func(context.Context, *stage, int) toll) (broken []string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	o := small(n.url).Load
	o.Rate = 500 // of which only the part of the plain sockets is published
	l := newLoad(o)
	if err := l.create(ctx); err != nil {
		t.Fatal(err)
	}
	p := plan{l: l, ctx: ctx, wg: &wg}
	p.plain()
	if err := p.wait(); err != nil {
		t.Fatal(err)
	}
	wg.Go(func() { l.publish(ctx) })
	defer close(l.over)
	s := &stage{
		l: l, silence: testSilence, floor: time.Hour, stuck: testStuck, memory: testStuck * testOutbox,
		resident: func(int) (int64, error) { return n.Stats().OutboxBytes, nil },
	}
	got := fault(ctx, s, 0)
	t.Log(got)
	if got.of == 0 {
		t.Error("no socket was silent")
	}
	return got.broken(testSilence)
}

// quick are settings of a node whose times are shorter, and its queues.
func quick() (gateway.Config, session.Config) {
	return gateway.Config{
		PingInterval: time.Second, PongTimeout: time.Second, SlowConsumerAfter: 2 * time.Second, CloseLinger: 500 * time.Millisecond,
		OutboxBytes: testOutbox,
	}, session.Config{OutboxBytes: testOutbox}
}

func TestStuck_ASoundNodeEnduresThem(t *testing.T) {
	t.Parallel()
	sockets, devices := quick()
	n := serveNodes(t, 1, sockets, devices)[0]
	for name, fault := range map[string]func(context.Context, *stage, int) toll{"half-open": halfOpen, "stuck-readers": stuckReaders} {
		if broken := endure(t, n, fault); len(broken) > 0 {
			t.Errorf("%s: %q, want nothing", name, broken)
		}
	}
}

// Each broker has its fault, and that must be found, and be all that is found.
func TestStuck_CatchesABrokerThatDoesNotCare(t *testing.T) {
	const never = time.Hour
	for _, c := range []struct {
		name  string
		want  []string
		fault func(context.Context, *stage, int) toll
		plant func(*gateway.Config, *session.Config)
	}{
		{"it never misses a pong", []string{"3 of 3 sockets"}, halfOpen, func(g *gateway.Config, _ *session.Config) { g.PongTimeout = never }},
		{"it waits for stuck readers, and its queues have no bound", []string{"are still open", "memory grew"}, stuckReaders,
			func(g *gateway.Config, d *session.Config) {
				g.PongTimeout, g.SlowConsumerAfter = never, never
				g.OutboxBytes, d.OutboxBytes = 1<<40, 1<<40
			}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sockets, devices := quick()
			c.plant(&sockets, &devices)
			broken := endure(t, serveNodes(t, 1, sockets, devices)[0], c.fault)
			if !slices.EqualFunc(broken, c.want, strings.Contains) {
				t.Errorf("found %q, want %q", broken, c.want)
			}
		})
	}
}

// Others' messages take 10 ms; while clients are stuck, they take as long as a case says.
func TestStuck_CatchesABrokerThatHasOthersWait(t *testing.T) {
	for _, c := range []struct {
		takes float64
		count int
		want  bool
	}{
		{0.015, 1000, false},
		{0.2, 1000, false}, // below what a machine may do by itself
		{0.8, 1000, true},
		{0.8, fewTimes / 2, false}, // nothing can be said
	} {
		s := newShow(t)
		r := s.durable("a").NewReader(false, 0)
		now := 0.0
		send := func(n int, takes float64) {
			for range n {
				_, id := s.publish(0, now, now+takes)
				s.give(r, id, now+takes)
				now += takes
			}
		}
		send(1000, 0.01)
		over := s.c.Aside()
		send(c.count, c.takes)
		got := toll{weighed: true, floor: slowFloor}
		got.usual, got.meanwhile = over()
		if broken := got.broken(silence); (len(broken) == 1) != c.want {
			t.Errorf("%d took %v s: found %q, want it broken: %v", c.count, c.takes, broken, c.want)
		}
	}
}
