package verify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// Promise is the time within which a cluster serves again after a fault.
const Promise = 10 * time.Second

// Fault is one way to break a cluster.
type Fault struct {
	Name  string // one word
	Story string // what is done, for people

	trouble     Trouble       // what it takes away
	full, short time.Duration // how long it lasts in a long run, and in a short one

	// alone: the cluster must serve again while the fault goes on, through the nodes that it leaves. Otherwise it must
	// once the fault is over.
	alone bool
	// ready: no node may call itself unready for it, since it is none's own fault.
	ready bool
	// sentinel: it needs a Redis that Sentinels watch.
	sentinel bool
	// beside: it hurts clients, not the cluster, takes so long, and others may happen meanwhile.
	beside time.Duration
	// quiet: the cluster is sound when it begins, and for so long nothing else happens, so that others' times can be compared.
	quiet time.Duration

	// run breaks the cluster for about d and mends it. on says whom it hit.
	run func(ctx context.Context, s *stage, d time.Duration) (on string, err error)
	// clients does so beside others, and tells what came of it.
	clients func(ctx context.Context, s *stage, node int) toll
}

// before is how long it waits until the cluster has got over what was before.
func (f *Fault) before() time.Duration {
	if f.quiet > 0 {
		return aftermath
	}
	return 0
}

// Happened is a fault that was made, for the report.
type Happened struct {
	Name     string        `json:"name"`
	On       string        `json:"on"`
	From     time.Duration `json:"fromNs"`
	To       time.Duration `json:"toNs"`
	Recovery time.Duration `json:"recoveryNs"`        // the longest: of the living while it lasted, and of all after its end
	Clients  bool          `json:"clients,omitempty"` // it hurt clients alone: there is nothing to recover, and Note says how it went
	OK       bool          `json:"ok"`
	Note     string        `json:"note,omitempty"`
}

func (h Happened) String() string {
	return fmt.Sprintf("%-15s on %-28s at %6.1f s for %4.1f s: %s  %s", h.Name, h.On, h.From.Seconds(), (h.To - h.From).Seconds(), h.outcome(), h.verdict())
}

// outcome is what came of it, verdict whether that is as promised.
func (h Happened) outcome() string {
	if h.Note != "" {
		return h.Note
	}
	return "serving again after " + seconds(h.Recovery)
}

func (h Happened) verdict() string {
	if h.OK {
		return "ok"
	}
	return "BROKEN"
}

// Faults are all that are known, in an order of no meaning.
func Faults() []Fault { return faults() }

// schedule repeats rounds of all faults, each in an order of its own, as long as is asked.
type schedule struct {
	list  []Fault
	rng   *rand.Rand
	order []int
}

func newSchedule(list []Fault, seed uint64) *schedule {
	return &schedule{list: list, rng: rand.New(rand.NewPCG(seed, 2))}
}

func (s *schedule) next() Fault {
	if len(s.order) == 0 {
		s.order = s.rng.Perm(len(s.list))
	}
	f := s.list[s.order[0]]
	s.order = s.order[1:]
	return f
}

// choose picks faults by name; none stands for all that the cluster can show.
func choose(names []string, sentinel bool) ([]Fault, error) {
	var list []Fault
	for _, f := range faults() {
		if len(names) == 0 && (!f.sentinel || sentinel) {
			list = append(list, f)
		}
	}
	for _, name := range names {
		found := false
		for _, f := range faults() {
			if f.Name == name {
				if f.sentinel && !sentinel {
					return nil, fmt.Errorf("verify: the fault %s needs Sentinels", name)
				}
				list, found = append(list, f), true
			}
		}
		if !found {
			return nil, fmt.Errorf("verify: there is no fault %q", name)
		}
	}
	return list, nil
}
