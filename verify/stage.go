package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fastport/fastport/internal/rig"
)

// stage is a cluster of this machine that faults are made on.
type stage struct {
	cluster *rig.Cluster
	l       *load
	prober  *prober
	say     func(format string, args ...any)
	short   bool // faults last as long as they must, not longer

	silence  time.Duration                 // how long silent sockets are left to the server
	floor    time.Duration                 // see slowFloor
	stuck    int                           // how many stuck readers
	memory   int64                         // bytes by which a node may grow for stuck readers
	resident func(node int) (int64, error) // a node's memory, in bytes

	rng *rand.Rand // of the goroutine that directs

	mu       sync.Mutex // guards the following
	happened []Happened
	now      string   // the fault that is on
	aside    []string // those that are on beside it
	silent   []int    // the nodes of silent clients
}

const (
	calmFirst   = 5 * time.Second  // before the first fault
	calmBetween = 4 * time.Second  // between two
	giveUp      = 60 * time.Second // waiting for a recovery
)

// direct makes one fault after another until there is no time for any.
func (s *stage) direct(ctx context.Context, list *schedule, until time.Duration) error {
	var beside sync.WaitGroup
	defer beside.Wait()
	pause(ctx, calmFirst)
	for tooLong := 0; ctx.Err() == nil && tooLong < len(list.list); {
		f := list.next()
		d := f.full
		if s.short {
			d = f.short
		}
		if s.l.now()+max(d, f.before()+f.beside)+calmBetween > until {
			tooLong++
			continue
		}
		tooLong = 0
		if f.beside > 0 {
			node := s.rng.IntN(len(s.cluster.Nodes))
			if s.setAside(f.Name) {
				pause(ctx, f.before())
				s.hush(node)
				beside.Go(func() { s.besides(ctx, f, node) })
				pause(ctx, f.quiet)
			}
			pause(ctx, calmBetween)
			continue
		}
		h, err := s.make(ctx, f, d)
		if err != nil {
			return fmt.Errorf("verify: %s: %w", f.Name, err)
		}
		s.note(h)
		pause(ctx, calmBetween)
	}
	return nil
}

// note keeps what happened, and tells of it.
func (s *stage) note(h Happened) {
	s.mu.Lock()
	s.happened = append(s.happened, h)
	s.mu.Unlock()
	s.say("%s", h)
}

// current is what is on, "" between two faults.
func (s *stage) current() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	on := s.aside
	if s.now != "" {
		on = append([]string{s.now}, on...)
	}
	return strings.Join(on, ", ")
}

// setAside notes that a fault begins beside others. False: it is on already.
func (s *stage) setAside(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.aside, name) {
		return false
	}
	s.aside = append(s.aside, name)
	return true
}

func (s *stage) endAside(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aside = slices.DeleteFunc(s.aside, func(n string) bool { return n == name })
}

func (s *stage) setCurrent(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = name
}

// make makes one fault, and waits until the cluster has recovered.
func (s *stage) make(ctx context.Context, f Fault, d time.Duration) (Happened, error) {
	s.setCurrent(f.Name)
	defer s.setCurrent("")
	h := Happened{Name: f.Name, From: s.l.now()}
	over := s.l.check.Trouble(f.trouble, h.From)
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	var meanwhile time.Duration // when the rest served again, while the fault went on
	if f.alone {
		watch.Go(func() {
			if at, ok := s.await(watching, h.From); ok {
				meanwhile = at
			}
		})
	}
	if f.ready {
		watch.Go(func() { s.stayReady(watching, f.Name) })
	}
	on, err := f.run(ctx, s, d)
	h.On, h.To = on, s.l.now()
	stop()
	watch.Wait()
	if err != nil {
		return h, err
	}
	waiting, cancel := context.WithTimeout(ctx, giveUp)
	defer cancel()
	at, ok := s.await(waiting, h.To)
	if !ok && ctx.Err() != nil {
		h.OK, h.Note = true, "the run ended before it had recovered"
		return h, nil
	}
	over(s.l.now())
	h.Recovery = at - h.To
	switch {
	case !ok:
		h.Recovery = s.l.now() - h.To
		h.Note = "not serving again within " + giveUp.String()
	case f.alone && meanwhile > 0:
		h.Recovery = max(h.Recovery, meanwhile-h.From)
	case f.alone && h.To-h.From > Promise:
		h.Recovery = max(h.Recovery, h.To-h.From)
		h.Note = fmt.Sprintf("serving again after %s, not while it lasted", seconds(h.Recovery))
	}
	h.OK = h.Recovery <= Promise
	if !h.OK {
		s.l.check.Broken(Slow, s.l.now(), "%s on %s, from %v to %v: serving again after %v, and %v is promised %s",
			h.Name, h.On, round(h.From), round(h.To), round(h.Recovery), Promise, h.Note)
	}
	s.alive()
	return h, nil
}

// await waits until all living nodes serve again.
func (s *stage) await(ctx context.Context, from time.Duration) (at time.Duration, ok bool) {
	for ctx.Err() == nil {
		if at, ok := s.prober.recovered(from); ok {
			return at, true
		}
		pause(ctx, probeEvery)
	}
	return 0, false
}

// stayReady holds every node to being ready.
func (s *stage) stayReady(ctx context.Context, during string) {
	for ctx.Err() == nil {
		for _, n := range s.cluster.Nodes {
			ready, body, err := n.Ready(ctx)
			if err == nil && !ready && ctx.Err() == nil {
				s.l.check.Broken(Unready, s.l.now(), "%s called itself unready during %s: %s", n.Name(), during, body)
				return
			}
		}
		pause(ctx, time.Second)
	}
}

// alive reports nodes that ended by themselves.
func (s *stage) alive() {
	for _, n := range s.cluster.Nodes {
		if !n.Running() {
			s.l.check.Broken(Died, s.l.now(), "%s ended by itself; what it said is in %s", n.Name(), n.LogFile())
		}
	}
}

// besides makes a fault that hurts clients alone, while others happen.
func (s *stage) besides(ctx context.Context, f Fault, node int) {
	defer s.endAside(f.Name)
	defer s.unhush(node)
	h := Happened{Name: f.Name, On: "clients of " + s.cluster.Nodes[node].Name(), From: s.l.now(), Clients: true}
	t := f.clients(ctx, s, node)
	h.To = s.l.now()
	if ctx.Err() != nil {
		return // it had not its time
	}
	broken := t.broken(s.silence)
	for _, text := range broken {
		s.l.check.Broken(Slow, h.To, "%s, %s: %s", h.Name, h.On, text)
	}
	h.OK, h.Note = len(broken) == 0, t.String()
	s.note(h)
}

// node picks one of the nodes.
func (s *stage) node() (i int, n *rig.Node) {
	i = s.rng.IntN(len(s.cluster.Nodes))
	return i, s.cluster.Nodes[i]
}

// awake picks one of the nodes without silent clients, if there is one: a node that hangs closes nobody in time.
func (s *stage) awake() (i int, n *rig.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i = s.rng.IntN(len(s.cluster.Nodes))
	for range s.cluster.Nodes {
		if !slices.Contains(s.silent, i) {
			break
		}
		i = (i + 1) % len(s.cluster.Nodes)
	}
	return i, s.cluster.Nodes[i]
}

// hush notes that clients of a node fall silent, unhush that they are gone.
func (s *stage) hush(node int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = append(s.silent, node)
}

func (s *stage) unhush(node int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.silent, node); i >= 0 {
		s.silent = slices.Delete(s.silent, i, i+1)
	}
}

// each does something to every node's link and joins what failed.
func (s *stage) each(do func(n *rig.Node) error) error {
	var errs []error
	for _, n := range s.cluster.Nodes {
		errs = append(errs, do(n))
	}
	return errors.Join(errs...)
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
