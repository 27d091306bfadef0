package client

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/api"
	bus "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/gateway"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"
)

// node is a whole broker.
type node struct {
	server *gateway.Server
	ln     net.Listener
	end    func()
}

// startNode starts a broker on a free port.
func startNode(id string, store *memory.Store, shared *bus.Bus) (*node, error) {
	return startNodeAt("127.0.0.1:0", id, store, shared)
}

func startNodeAt(addr, id string, store *memory.Store, shared *bus.Bus) (*node, error) {
	sealer, err := session.NewSealer(make([]byte, session.MasterKeySize), nil)
	if err != nil {
		return nil, err
	}
	plane := shared.Node(id)
	catalog := session.NewCatalog(session.CatalogConfig{Store: store, Control: plane, Sealer: sealer})
	engine, err := session.New(session.Config{NodeID: id, Store: store, Backplane: plane, Catalog: catalog})
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	web := api.New(api.Config{
		Catalog: catalog, Publisher: engine, Counters: plane,
		Admin: admin.New(admin.Config{Store: store, Catalog: catalog, Backplane: plane}),
	})
	n := &node{server: gateway.New(gateway.Config{}, engine, web), ln: ln}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { engine.Run(ctx) })
	running.Go(func() { n.server.Serve(ln) })
	n.end = sync.OnceFunc(func() {
		n.server.Close()
		ln.Close()
		stop()
		running.Wait()
		plane.Close()
	})
	return n, nil
}

// Broker starts a broker for the examples.
func Broker() (httpURL string, stop func(), err error) {
	store := memory.Open(storage.Options{}, time.Now)
	n, err := startNode("example", store, bus.NewBus())
	if err != nil {
		return "", nil, err
	}
	return "http://" + n.ln.Addr().String(), func() { n.end(); store.Close() }, nil
}
