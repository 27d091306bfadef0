package dataplane_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/api"
	bus "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/dataplane"
	"github.com/fastport/fastport/gateway"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"
)

var clusterKey = sync.OnceValue(func() dataplane.Key {
	key, err := dataplane.NewKey("a secret of the tests")
	if err != nil {
		panic(err)
	}
	return key
})

// rig is a cluster in this process: engines, gateways and planes on real sockets, one store and one bus in memory.
type rig struct {
	*testing.T
	store *memory.Store
	bus   *bus.Bus
	key   e2ee.Key
	nodes []*node
}

type node struct {
	addr string // where clients connect
	end  func()
}

func newRig(t *testing.T, nodes int) *rig {
	t.Helper()
	r := &rig{T: t, store: memory.Open(storage.Options{}, time.Now), bus: bus.NewBus(), key: e2ee.NewKey()}
	t.Cleanup(func() { r.store.Close() })
	for range nodes {
		r.start()
	}
	spec := client.SessionSpec{SessionName: "s", Password: "password", Key: r.key}
	if _, err := client.CreateSession(r.ctx(), "http://"+r.nodes[0].addr, spec); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	r.Cleanup(cancel)
	return ctx
}

// start starts a node more.
func (r *rig) start() *node {
	r.Helper()
	id := fmt.Sprintf("n%d", len(r.nodes)+1)
	log := slog.New(slog.NewTextHandler(r.Output(), nil)).With("node", id)
	must := func(err error) {
		if err != nil {
			r.Fatal(err)
		}
	}
	sealer, err := session.NewSealer(make([]byte, session.MasterKeySize), nil)
	must(err)
	between, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	shared := r.bus.Node(id)
	plane := dataplane.New(clusterKey(), log)
	catalog := session.NewCatalog(session.CatalogConfig{Store: r.store, Control: shared, Sealer: sealer})
	engine, err := session.New(session.Config{NodeID: id, Store: r.store, Backplane: shared, Catalog: catalog, Logger: log,
		Links: plane, Address: between.Addr().String()})
	must(err)
	web := api.New(api.Config{Catalog: catalog, Publisher: engine, Counters: shared,
		Admin: admin.New(admin.Config{Store: r.store, Catalog: catalog, Backplane: shared})})
	server := gateway.New(gateway.Config{}, engine, web)
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { engine.Run(ctx) })
	running.Go(func() { plane.Serve(between) })
	running.Go(func() { server.Serve(ln) })
	n := &node{addr: ln.Addr().String()}
	// As a killed process: its sockets are gone before it can say anything.
	n.end = sync.OnceFunc(func() {
		plane.Close()
		server.Close()
		ln.Close()
		stop()
		running.Wait()
		shared.Close()
	})
	r.Cleanup(n.end)
	r.nodes = append(r.nodes, n)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		living, err := shared.Nodes(r.ctx())
		if err == nil && len(living) > 0 && living[len(living)-1].ID == id {
			return n
		}
		if time.Now().After(deadline) {
			r.Fatal("no heartbeat")
		}
	}
}

// device is a client and the door by which it reaches a node: another one after the door was turned.
type device struct {
	*client.Client
	door *door
}

func (r *rig) connect(to *node, change func(*client.Options)) *device {
	r.Helper()
	d := newDoor(r.T, to.addr)
	o := client.Options{URL: "ws://" + d.ln.Addr().String() + "/ws", SessionName: "s", Password: "password", AESKey: r.key.Base64(),
		BackoffMin: time.Millisecond, BackoffMax: 50 * time.Millisecond, OnError: func(err error) { r.Logf("OnError: %v", err) }}
	if change != nil {
		change(&o)
	}
	c, err := client.Connect(r.ctx(), o)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c.Close(ctx)
	})
	return &device{Client: c, door: d}
}

// door passes connections on.
type door struct {
	ln net.Listener
	wg sync.WaitGroup

	mu     sync.Mutex // guards the following
	target string
	conns  map[net.Conn]struct{}
}

func newDoor(t *testing.T, target string) *door {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{ln: ln, target: target, conns: make(map[net.Conn]struct{})}
	d.wg.Go(d.serve)
	t.Cleanup(func() {
		ln.Close()
		d.turn("")
		d.wg.Wait()
	})
	return d
}

// turn leads to another target, and ends what goes to the one before.
func (d *door) turn(target string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.target = target
	for c := range d.conns {
		c.Close()
	}
}

func (d *door) serve() {
	for {
		in, err := d.ln.Accept()
		if err != nil {
			return
		}
		d.wg.Go(func() {
			defer in.Close()
			d.mu.Lock()
			target := d.target
			d.mu.Unlock()
			out, err := net.Dial("tcp", target)
			if err != nil {
				return
			}
			defer out.Close()
			d.mu.Lock()
			open := d.target == target
			d.conns[in], d.conns[out] = struct{}{}, struct{}{}
			d.mu.Unlock()
			defer func() {
				d.mu.Lock()
				defer d.mu.Unlock()
				delete(d.conns, in)
				delete(d.conns, out)
			}()
			if !open {
				return
			}
			back := make(chan struct{})
			go func() {
				defer close(back)
				io.Copy(in, out)
				in.Close()
			}()
			io.Copy(out, in)
			out.Close()
			<-back
		})
	}
}
