package session_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	bus "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
	memstore "github.com/fastport/fastport/storage/memory"
)

var (
	modelSeed  = flag.Uint64("model.seed", 1, "seed of the model test; 0: by the clock")
	modelSteps = flag.Int("model.steps", 3000, "random events of each run of the model test; half as many with several nodes")
	modelStory = flag.String("model.story", "", "tell also all events whose text has this in it, where a promise was broken")
	modelNodes = flag.Int("model.nodes", 0, "run the model test with so many nodes; 0: with one, and with three")
)

// TestModel drives a broker through random publishes, acks, silences, disconnects, take-overs, crashes and restarts, and
// one of three nodes also through nodes that freeze, links that fail, copies and notes that are lost and a store that
// suffers. It holds all that the devices see against the delivery contract.
func TestModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -model.seed=%d -model.steps=%d", seed, *modelSteps)
	for _, c := range []struct {
		nodes  int
		expiry time.Duration
	}{{1, 0}, {1, 20 * time.Second}, {3, 0}, {3, 20 * time.Second}} {
		if *modelNodes != 0 && c.nodes != 1 && *modelNodes > 1 {
			c.nodes = *modelNodes
		}
		if *modelNodes != 0 && c.nodes != *modelNodes {
			continue
		}
		t.Run(fmt.Sprintf("nodes=%d,expiry=%v", c.nodes, c.expiry), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				steps := *modelSteps
				if c.nodes > 1 {
					steps /= 2
				}
				k := runModel(seed, steps, c.expiry, c.nodes, func(s storage.Store) storage.Store { return s })
				for _, b := range k.broken {
					t.Error(b)
				}
				t.Logf("%d published, %d refused, %d deliveries, %d replayed, %d retried, %d crashes",
					k.published, k.refusals, k.deliveries, k.replays, k.retries, k.crashes)
				if k.published < steps/10 || k.replays == 0 || c.nodes == 1 && (k.deliveries < k.published || k.retries == 0) {
					t.Error("the run was too quiet to show anything")
				}
			})
		})
	}
}

// TestModel_CatchesPlantedFaults shows that the checker is awake: each faulty store breaks a promise, and is found.
func TestModel_CatchesPlantedFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(storage.Store) storage.Store
		says  string
	}{
		{"one ack settles for all", func(s storage.Store) storage.Store { return &oneAckForAll{Store: s} }, "lost"},
		{"a cursor skips", func(s storage.Store) storage.Store { return &skippingCursor{s} }, "lost"},
		{"something settled comes back", func(s storage.Store) storage.Store { return &forgetfulCursor{Store: s} }, "came back"},
		{"an append that stores nothing", func(s storage.Store) storage.Store { return &lyingAppend{Store: s} }, "lost"},
		{"a repeat taken for new", func(s storage.Store) storage.Store { return &forgetfulIDs{s} }, "acked as seq"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for seed := uint64(1); seed <= 5; seed++ {
					k := runModel(seed, 3000, 0, 1, c.fault)
					if strings.Contains(strings.Join(k.broken, "\n"), c.says) {
						return
					}
				}
				t.Errorf("no run says %q: the fault was not caught", c.says)
			})
		})
	}
}

func runModel(seed uint64, steps int, expiry time.Duration, nodes int, plant func(storage.Store) storage.Store) *checker {
	mem := memstore.Open(storage.Options{}, time.Now)
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 1)), store: plant(mem), check: newChecker(), bus: bus.NewBus(),
		weather: &weather{rng: rand.New(rand.NewPCG(seed, 2))},
		log:     slog.New(slog.NewTextHandler(io.Discard, nil)), topics: []string{"a", "b/c", "ü"},
	}
	w.check.expiry, w.check.cluster, w.check.weather = expiry, nodes > 1, w.weather
	for range nodes {
		w.start()
	}
	for _, s := range []string{"one", "two"} {
		if err := createSession(w.servers[0].cat, s, expiry); err != nil {
			panic(err)
		}
		row, err := mem.Session(context.Background(), s)
		if err != nil {
			panic(err)
		}
		w.check.names[row.ID] = s
		w.devices = append(w.devices,
			&device{name: s + "/phone", session: s, clientID: "phone", version: 2, maxConns: 1},
			&device{name: s + "/lazy", session: s, clientID: "lazy", version: 2, lazy: true, maxConns: 1},
			&device{name: s + "/old", session: s, clientID: "old", version: 1, maxConns: 1},
			&device{name: s + "/ann", session: s, userID: "ann", version: 2, maxConns: 2},
			&device{name: s + "/eve1", session: s, version: 1, maxConns: 1},
			&device{name: s + "/eve2", session: s, version: 2, maxConns: 1},
		)
	}
	if nodes > 1 {
		w.sleep(4 * time.Second) // they know each other
	}
	for range steps {
		w.step()
		if w.check.isBroken() {
			break
		}
	}
	w.quiesce()
	w.check.finish(time.Now())
	if totals, err := mem.Totals(context.Background()); err != nil || totals.Messages != 0 && !w.check.isBroken() {
		w.check.violate("%d messages are still stored after everything was acked (%v): %s", totals.Messages, err, w.owing(mem))
	}
	for len(w.servers) > 0 {
		w.stop(w.servers[0])
	}
	w.sleep(time.Minute)
	return w.check
}

// owing tells who has not settled what.
func (w *world) owing(s storage.Store) (text string) {
	ctx := context.Background()
	for id, name := range w.check.names {
		for _, who := range []storage.Subscriber{"c:phone", "c:lazy", "c:old", "u:ann"} {
			rows, _ := s.Attach(ctx, id, who, false)
			for _, r := range rows {
				if next := r.Settled.NextGap(0); next <= r.Head {
					text += fmt.Sprintf("\n  %s/%s on %s: seq %d %s of %d\n%s", name, who, r.Topic.Name, next,
						w.check.seqs[name+"\x00"+r.Topic.Name][next], r.Head, w.check.tale(w.check.seqs[name+"\x00"+r.Topic.Name][next], name+"/"+string(who)))
				}
			}
		}
	}
	for _, d := range w.devices {
		if d.durable() && text != "" {
			for _, c := range d.all {
				text += fmt.Sprintf("\n  %s conn %d at %s, ready %v, gone %v, dead %v, abandoned %v, inbox %d: %s", d.subscriber(c), c.id, c.server.plane.id, c.ready, c.gone, c.dead, c.abandon, len(c.inbox), session.State(c.peer))
			}
		}
	}
	return text
}
