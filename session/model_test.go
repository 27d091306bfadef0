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

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
	memstore "github.com/fastport/fastport/storage/memory"
)

var (
	modelSeed  = flag.Uint64("model.seed", 1, "seed of the model test; 0: by the clock")
	modelSteps = flag.Int("model.steps", 10_000, "random events of the model test")
)

// TestModel drives a node through random publishes, acks, silences, disconnects, take-overs, crashes and restarts,
// and holds all that the devices see against the delivery contract.
func TestModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with -model.seed=%d -model.steps=%d", seed, *modelSteps)
	for _, expiry := range []time.Duration{0, 20 * time.Second} {
		t.Run(fmt.Sprintf("expiry=%v", expiry), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := runModel(seed, *modelSteps, expiry, func(s storage.Store) storage.Store { return s })
				for _, b := range k.broken {
					t.Error(b)
				}
				t.Logf("%d published, %d deliveries, %d replayed, %d retried, %d crashes", k.published, k.deliveries, k.replays, k.retries, k.crashes)
				if k.published < *modelSteps/10 || k.deliveries < k.published || k.replays == 0 || k.retries == 0 {
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
					k := runModel(seed, 3000, 0, c.fault)
					if strings.Contains(strings.Join(k.broken, "\n"), c.says) {
						return
					}
				}
				t.Errorf("no run says %q: the fault was not caught", c.says)
			})
		})
	}
}

func runModel(seed uint64, steps int, expiry time.Duration, plant func(storage.Store) storage.Store) *checker {
	mem := memstore.Open(storage.Options{}, time.Now)
	w := &world{
		rng: rand.New(rand.NewPCG(seed, 1)), store: plant(mem), check: newChecker(),
		log: slog.New(slog.NewTextHandler(io.Discard, nil)), topics: []string{"a", "b/c", "ü"},
	}
	w.check.expiry = expiry
	w.start()
	for _, s := range []string{"one", "two"} {
		if err := createSession(w.cat, s, expiry); err != nil {
			panic(err)
		}
		w.devices = append(w.devices,
			&device{name: s + "/phone", session: s, clientID: "phone", version: 2, maxConns: 1},
			&device{name: s + "/lazy", session: s, clientID: "lazy", version: 2, lazy: true, maxConns: 1},
			&device{name: s + "/old", session: s, clientID: "old", version: 1, maxConns: 1},
			&device{name: s + "/ann", session: s, userID: "ann", version: 2, maxConns: 2},
			&device{name: s + "/eve1", session: s, version: 1, maxConns: 1},
			&device{name: s + "/eve2", session: s, version: 2, maxConns: 1},
		)
	}
	for range steps {
		w.step()
		if w.check.failed() {
			break
		}
	}
	w.quiesce()
	w.check.finish(time.Now())
	if totals, err := mem.Totals(context.Background()); err != nil || totals.Messages != 0 && !w.check.failed() {
		w.check.violate("%d messages are still stored after everything was acked (%v)", totals.Messages, err)
	}
	w.closeAll()
	w.cancel()
	<-w.ended
	return w.check
}

// step is one random event.
func (w *world) step() {
	rng := w.rng
	d := w.devices[rng.IntN(len(w.devices))]
	d.reap()
	c := d.pick(rng)
	switch p := rng.IntN(1000); {
	case p < 1:
		w.crash()
	case p < 2:
		w.restart()
	case p < 60 || c == nil:
		if len(d.conns) < d.maxConns || d.clientID != "" && rng.IntN(3) == 0 { // the latter is a take-over
			w.connect(d)
		}
	case p < 80:
		c.hangUp()
	case p < 90:
		c.mu.Lock()
		c.dead = true
		c.mu.Unlock()
	case p < 170:
		c.send(&protocol.ClientFrame{Type: protocol.TypeSubscribe, Topic: []byte(w.topic()), QoS: 1})
	case p < 176:
		c.send(&protocol.ClientFrame{Type: protocol.TypeUnsubscribe, Topic: []byte(w.topic()), QoS: 1})
	case p < 450:
		n := 1 + rng.IntN(5)
		if rng.IntN(100) == 0 {
			n = 300 // beyond a window
		}
		for range n {
			w.ids++
			pub := &publication{id: fmt.Sprintf("m%d", w.ids), topic: w.topic(), data: fmt.Sprintf("%s-%d", d.session, w.ids), session: d.session, by: d}
			w.unacked = append(w.unacked, pub)
			c.publish(pub, false)
		}
	case p < 480:
		w.resend(d, c)
	case p < 800:
		most := 40
		if d.lazy {
			most = 3
		}
		for _, r := range c.takeInbox(rng, rng.IntN(most)) {
			c.ack(r)
		}
	case p < 990:
		time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
	default:
		time.Sleep(time.Duration(rng.IntN(7000)) * time.Millisecond)
	}
	w.pump()
	if rng.IntN(3) > 0 {
		synctest.Wait()
		w.pump()
	}
}

// resend publishes something again, as its publisher would after a lost connection or a lost ack.
func (w *world) resend(d *device, c *conn) {
	if n := len(w.unacked); n > 200 {
		w.unacked = w.unacked[n-200:]
	}
	for _, i := range w.rng.Perm(len(w.unacked)) {
		if p := w.unacked[i]; p.by == d {
			c.publish(p, d.version == protocol.Version2)
			return
		}
	}
}

func (w *world) topic() string { return w.topics[w.rng.IntN(len(w.topics))] }

// pick returns one of the device's working connections.
func (d *device) pick(rng *rand.Rand) *conn {
	for _, i := range rng.Perm(len(d.conns)) {
		if d.conns[i].alive() {
			return d.conns[i]
		}
	}
	return nil
}

// quiesce brings every device online, lets it take and ack everything, and gives the node time to settle it.
func (w *world) quiesce() {
	for _, d := range w.devices {
		for _, c := range d.conns {
			c.mu.Lock()
			dead := c.dead
			c.mu.Unlock()
			if dead {
				c.hangUp()
			}
		}
		d.reap()
		if len(d.conns) == 0 {
			w.connect(d)
		}
	}
	for round := range 60 {
		synctest.Wait()
		w.pump()
		for _, d := range w.devices {
			d.reap()
			if len(d.conns) == 0 {
				w.connect(d)
				continue
			}
			for _, c := range d.conns {
				if d.version == protocol.Version1 && d.durable() && round%20 == 2 {
					for _, t := range w.check.active(c) {
						c.send(&protocol.ClientFrame{Type: protocol.TypeSubscribe, Topic: []byte(t), QoS: 1})
					}
				}
				for _, r := range c.takeInbox(w.rng, 1<<20) {
					c.ack(r)
				}
			}
		}
		time.Sleep(500 * time.Millisecond)
	}
	synctest.Wait()
	w.pump()
}
