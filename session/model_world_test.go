package session_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/backplane"
	bus "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
)

// world is a broker under random events: a store that survives, nodes that may be killed, frozen or cut off at any
// moment, and devices that come, go, fall silent and ack in any order. Everything that a device sees is told to the
// checker.
type world struct {
	rng     *rand.Rand
	store   storage.Store // survives a crash
	weather *weather
	check   *checker
	ticks   atomic.Int64 // one order for all that happens
	log     *slog.Logger

	bus     *bus.Bus
	servers []*server
	started int
	later   []due // what ends by itself

	devices []*device
	topics  []string
	conns   int
	ids     int
	unacked []*publication // published: may be sent again
}

// due is something that happens at a time.
type due struct {
	at time.Time
	do func()
}

// server is one process of the broker.
type server struct {
	w      *world
	life   *life
	plane  *plane
	cat    *session.Catalog
	node   *session.Node
	cancel context.CancelFunc
	done   chan error

	troubled time.Time // when it was last part of the cluster again; guarded by checker.mu
	killed   time.Time // guarded by checker.mu
	ended    time.Time // killed or stopped while the store suffered: with what it had not carried there; guarded by checker.mu
	doomed   bool      // something is to happen to it already
}

// start brings a node up on the store that is there.
func (w *world) start() {
	w.started++
	id := fmt.Sprint("n", w.started)
	plane := newPlane(w.bus, id, w.check.cluster, w.check.tell)
	s := &server{w: w, plane: plane, done: make(chan error, 1),
		life: &life{Store: w.store, weather: w.weather, plane: plane, check: w.check}}
	s.cat = newCatalog(s.life, plane)
	node, err := session.New(session.Config{
		NodeID: id, Store: s.life, Backplane: plane, Catalog: s.cat, Logger: w.log,
		MaxPayload: protocol.MaxPayload, MaxRetention: protocol.MaxRetention, OutboxBytes: protocol.OutboxBytes,
		MaxTopics: protocol.MaxTopics, MaxOpenFiles: protocol.MaxOpenFiles, SweepEvery: time.Second,
	})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.node, s.cancel = node, cancel
	go func() { s.done <- node.Run(ctx) }()
	w.servers = append(w.servers, s)
	w.check.tell("node starts: "+id, "")
	synctest.Wait() // its first heartbeat
}

// crash ends a node as kill -9 does: nothing of it reaches the store or the others any more, and every socket is gone.
// The others count it among the living until its lease ends.
func (w *world) crash(s *server) {
	w.check.crash(s)
	s.life.end()
	s.plane.sever(true)
	w.closeOf(s)
	s.cancel()
	<-s.done
	w.servers = slices.DeleteFunc(w.servers, func(o *server) bool { return o == s })
	w.in(backplane.Lease, func() { s.plane.Close() })
	w.start()
}

// stop ends a node in good order.
func (w *world) stop(s *server) {
	w.check.tell("node stops: "+s.plane.id, "")
	w.closeOf(s)
	s.cancel()
	for stopped := false; !stopped; {
		select {
		case <-s.done:
			stopped = true
		default:
			w.sleep(10 * time.Millisecond) // what is to end ends meanwhile
		}
	}
	w.check.ended(s)
	s.life.end()
	s.plane.Close()
	w.servers = slices.DeleteFunc(w.servers, func(o *server) bool { return o == s })
}

// cut has the link of a node fail for a while: first nobody there knows, then it is told, then it is back.
func (w *world) cut(s *server, out bool, unknown, down time.Duration) {
	s.doomed = true
	w.choose(s)
	s.plane.sever(out)
	w.check.trouble(s, "is cut off")
	w.in(unknown, func() {
		s.plane.down()
		w.check.trouble(s, "knows that it is cut off")
		w.in(down, func() {
			s.doomed = false
			s.plane.up()
			w.check.trouble(s, "is linked again")
		})
	})
}

// freeze has the process of a node stand still for a while, as SIGSTOP does. What its clients sent waits in its sockets.
func (w *world) freeze(s *server, lasts time.Duration) {
	s.doomed = true
	w.choose(s)
	w.check.trouble(s, "is frozen")
	s.plane.freeze()
	for _, d := range w.devices {
		for _, c := range d.all {
			if c.server == s {
				c.freeze()
			}
		}
	}
	w.in(lasts, func() {
		s.doomed = false
		if lasts > 2*time.Second {
			s.node.StoodStill()
		}
		for _, d := range w.devices {
			for _, c := range d.all {
				if c.server == s {
					c.thaw()
				}
			}
		}
		w.check.trouble(s, "goes on")
		s.plane.thaw()
	})
}

// storm has the store suffer for a while.
func (w *world) storm(kind int, lasts time.Duration) {
	w.check.tell(fmt.Sprintf("the store suffers: %d for %v", kind, lasts), "")
	w.weather.set(func(s *weather) {
		switch kind {
		case 0:
			s.slow = 100 * time.Millisecond
		case 1:
			s.slow = 3 * time.Second
		case 2:
			s.failing = true
		default:
			s.untold = true
		}
	})
	w.in(lasts, func() {
		w.weather.set(func(s *weather) { s.slow, s.failing, s.untold, s.cleared = 0, false, false, time.Now() })
		w.check.tell("the store is well", "")
	})
}

// in has something happen after a while.
func (w *world) in(after time.Duration, do func()) {
	w.later = append(w.later, due{time.Now().Add(after), do})
}

// sleep lets time pass, with what happens in it.
func (w *world) sleep(d time.Duration) {
	for end := time.Now().Add(d); ; {
		next := -1
		for i := range w.later {
			if !w.later[i].at.After(end) && (next < 0 || w.later[i].at.Before(w.later[next].at)) {
				next = i
			}
		}
		if next < 0 {
			time.Sleep(time.Until(end))
			return
		}
		l := w.later[next]
		w.later = slices.Delete(w.later, next, next+1)
		time.Sleep(time.Until(l.at))
		l.do()
		w.pump()
	}
}

// choose has devices whose log-ins overlap at a node that nothing can tell of the others stay with their newest.
func (w *world) choose(s *server) {
	for _, d := range w.devices {
		conns := d.conns()
		if d.clientID != "" && slices.ContainsFunc(conns, func(c *conn) bool { return c.server == s }) {
			for _, c := range conns[:len(conns)-1] {
				c.leave()
			}
		}
	}
}

// anyServer picks one that nothing is happening to.
func (w *world) anyServer() *server {
	for _, i := range w.rng.Perm(len(w.servers)) {
		if !w.servers[i].doomed {
			return w.servers[i]
		}
	}
	return nil
}

// closeOf ends a node's connections.
func (w *world) closeOf(s *server) {
	for _, d := range w.devices {
		for _, c := range d.all {
			if c.server == s {
				c.mu.Lock()
				c.gone = true
				c.mu.Unlock()
				w.check.left(c)
			}
		}
	}
	w.pump()
	synctest.Wait()
	w.pump()
	for _, d := range w.devices {
		d.all = slices.DeleteFunc(d.all, func(c *conn) bool { return c.server == s })
	}
}

func (w *world) pump() {
	for _, d := range w.devices {
		for _, c := range d.all {
			c.pump()
		}
	}
}

// connect opens a connection of d through a node that lets it.
func (w *world) connect(d *device) {
	open := slices.DeleteFunc(slices.Clone(w.servers), func(s *server) bool { return s.plane.isStill() })
	if len(open) == 0 {
		return
	}
	s := open[w.rng.IntN(len(open))]
	for _, old := range d.conns() {
		if d.clientID != "" && !(w.check.trusted(old.server) && w.check.trusted(s)) {
			// Nothing can tell the old node: its client has left it for good, or would not be here.
			old.leave()
		}
	}
	w.conns++
	c := &conn{w: w, id: w.conns, device: d, server: s, subscribed: map[string]bool{}, opened: time.Now()}
	c.peer = s.node.Open(c, netip.MustParseAddr("127.0.0.1"))
	d.all = append(d.all, c)
	w.check.tell(fmt.Sprintf("%s opens conn %d at %s", d.name, c.id, s.plane.id), d.subscriber(c))
	c.send(&protocol.ClientFrame{Type: protocol.TypeInit, SessionName: []byte(d.session), Password: []byte("password"),
		ClientID: []byte(d.clientID), UserID: []byte(d.userID), Protocol: d.version, QoS: 1})
}
