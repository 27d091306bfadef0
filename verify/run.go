package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/fastport/fastport/internal/rig"
	"github.com/fastport/fastport/protocol"
)

// Options say what to verify. Of what is zero there is a default.
type Options struct {
	Load     LoadOptions   // its URLs only where Local is nil
	Duration time.Duration // of the load; default one minute
	Patience time.Duration // how long after it what is owed is waited for; default one minute

	Local        *LocalOptions // a cluster of this machine, started for this; nil: the one at Load.URLs
	ExpectFaults bool          // somebody breaks the cluster by hand: what is allowed while something is broken always is

	Live func(Progress) // each second; nil: nobody looks
	Log  io.Writer      // what happens, a line each; nil: nobody reads it
}

// LocalOptions say which cluster to start.
type LocalOptions struct {
	Nodes    int
	Binary   string // "": this program
	Dir      string // where log files stay; "": nowhere
	Sentinel bool
	Faults   bool     // make faults
	Only     []string // these alone
}

// shortRun is below what duration faults last no longer than they must, so that more of them have room.
const shortRun = 5 * time.Minute

// Progress is where a run is.
type Progress struct {
	At, Duration                time.Duration
	Published, Acked, Delivered uint64
	Owed                        int // acked and not handed over yet
	Breaches                    int
	Fault                       string // that is on now
}

// Run loads a cluster, breaks it where it is told to, and tells what it found. An error means that nothing could be
// verified; broken promises are in the Report. When ctx ends, it stops and reports what it has.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Duration == 0 {
		o.Duration = time.Minute
	}
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	if o.Load.Seed == 0 {
		o.Load.Seed = rand.Uint64()>>32 | 1
	}
	r := &run{o: o}
	if o.Local == nil {
		if len(o.Load.URLs) == 0 {
			return nil, errors.New("verify: no URL")
		}
		return r.verify(ctx)
	}
	var faults []Fault
	var err error
	if o.Local.Faults {
		if faults, err = choose(o.Local.Only, o.Local.Sentinel); err != nil {
			return nil, err
		}
	}
	r.cluster, err = rig.Start(ctx, rig.Options{
		Nodes: o.Local.Nodes, Binary: o.Local.Binary, Dir: o.Local.Dir, Sentinel: o.Local.Sentinel, Proxies: true, Log: o.Log,
		Env: []string{"DRAIN_TIMEOUT=6s", "API_RATE_LIMIT=0"},
	})
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	defer func() { r.cluster.Close() }()
	for _, n := range r.cluster.Nodes {
		r.o.Load.URLs = append(r.o.Load.URLs, n.URL())
	}
	r.faults = faults
	return r.verify(ctx)
}

// run is one verification.
type run struct {
	o       Options
	cluster *rig.Cluster // nil: somebody else's
	faults  []Fault
	l       *load
	prober  *prober
	stage   *stage
	from    time.Duration // when the load began
	held    int64
}

func (r *run) say(format string, args ...any) { fmt.Fprintf(r.o.Log, format+"\n", args...) }

func (r *run) verify(ctx context.Context) (*Report, error) {
	// The load generator shares its machine with what it measures: fewer collections, and later ones, disturb less.
	defer debug.SetGCPercent(debug.SetGCPercent(300))
	r.l = newLoad(r.o.Load)
	if err := r.l.create(ctx); err != nil {
		return nil, err
	}
	// The clients outlive ctx: what was published until then is still judged.
	clients, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	undo := context.AfterFunc(starting, stop)
	err := r.l.start(clients, &wg)
	if !undo() && err == nil {
		err = context.Cause(starting)
	}
	cancel()
	if err != nil {
		return nil, err
	}
	r.prober = newProber(r.l)
	wg.Go(func() { r.prober.run(clients) })
	wg.Go(func() { r.tick(clients) })
	if r.o.ExpectFaults {
		r.l.check.Trouble(AnyTrouble, 0)
	}
	r.say("publishing %d messages a second on %d topics to %d durable subscribers for %v, seed %d",
		r.l.o.Rate, r.l.o.Topics, r.l.o.Subscribers, r.o.Duration, r.l.o.Seed)
	r.from = r.l.now()
	publishing, end := context.WithTimeout(ctx, r.o.Duration)
	defer end()
	err = r.drive(publishing)
	took := r.l.now() - r.from
	settling, enough := context.WithTimeout(context.WithoutCancel(ctx), r.o.Patience)
	defer enough()
	r.say("waiting for what is owed")
	r.l.settle(settling)
	r.l.finish()
	if r.stage != nil {
		r.stage.alive()
	}
	report := r.report(took)
	stop()
	wg.Wait()
	if r.cluster == nil {
		dropping, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer done()
		if e := r.l.drop(dropping); e != nil {
			r.say("the run's sessions could not be dropped; they expire by themselves: %v", e)
		}
	}
	return report, err
}

// drive publishes and makes faults until ctx ends.
func (r *run) drive(ctx context.Context) (err error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	if r.cluster != nil {
		r.stage = &stage{
			cluster: r.cluster, l: r.l, prober: r.prober, say: r.say, short: r.o.Duration < shortRun,
			silence: silence, floor: slowFloor, stuck: stuckCount, memory: stuckCount * protocol.OutboxBytes,
			resident: func(i int) (int64, error) { return r.cluster.Nodes[i].Resident() },
			rng:      rand.New(rand.NewPCG(r.l.o.Seed, 3)),
		}
	}
	if len(r.faults) > 0 {
		wg.Go(func() { err = r.stage.direct(ctx, newSchedule(r.faults, r.l.o.Seed), r.from+r.o.Duration-calmLast) })
	}
	held := r.l.publish(ctx)
	wg.Wait()
	r.held = held
	return err
}

// calmLast is before the end of the load, so that the last fault's recovery is seen.
const calmLast = 5 * time.Second

// tick has the Checker decide what it can, and shows progress.
func (r *run) tick(ctx context.Context) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		r.l.check.Tick(r.l.now())
		if r.o.Live != nil {
			p := r.l.check.progress()
			p.At, p.Duration = r.l.now()-r.from, r.o.Duration
			if r.stage != nil {
				p.Fault = r.stage.current()
			}
			r.o.Live(p)
		}
	}
}
