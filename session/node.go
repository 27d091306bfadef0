package session

import (
	"context"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/metrics"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// Node is the engine of one process: who is connected, what is on its way to whom, and what of it the store knows.
//
// Locks are taken in this order: Node.mu, tenant.mu, topic.publishing, topic.mu, Conn.mu, message.mu, subscription.mu;
// those of the queues (committer, readers, cursors, alarms, heads) come last. None is held across a call that waits.
type Node struct {
	cfg     Config
	store   storage.Store
	bus     backplane.Backplane
	catalog *Catalog
	log     *slog.Logger
	started time.Time
	seed    maphash.Seed
	frames  sync.Pool // of *protocol.ClientFrame
	batches sync.Pool // of *batch
	runs    sync.Pool // of *run

	files      *openFiles
	cursors    *cursors
	readers    *readers
	alarms     *alarms
	heads      *heads
	pulse      pulse
	presence   *attendance
	surrenders *surrenders
	committers []*committer
	turns      turns
	releases   releases
	figures    figures
	traces     traces

	numbers atomic.Uint64 // of connections
	offset  atomic.Int64  // of the store's clock from ours, ns
	down    atomic.Bool   // the backplane's subscribing side is dead
	peers   atomic.Int64  // other living nodes
	beaten  atomic.Int64  // when the last heartbeat that was taken began, by the node's clock; 0: none yet

	background context.Context // of what connections have done in the background
	cancel     context.CancelFunc

	mu       sync.RWMutex // guards the following
	tenants  map[string]*tenant
	epoch    string          // the store's history
	past     map[string]bool // histories that it has left
	stopping bool
	work     sync.WaitGroup // in the background; begun only while not stopping
}

var (
	_ Engine             = (*Node)(nil)
	_ backplane.Receiver = (*Node)(nil)
)

// New makes a node and has it listen to its backplane. It serves connections from then on; Run does what takes time.
func New(cfg Config) (*Node, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, store: cfg.Store, bus: cfg.Backplane, catalog: cfg.Catalog, log: cfg.Logger,
		started: time.Now(), seed: maphash.MakeSeed(), tenants: map[string]*tenant{}, past: map[string]bool{}}
	n.figures.errors = metrics.NewLabels(protocol.Codes...)
	n.frames.New = func() any { return new(protocol.ClientFrame) }
	n.batches.New = func() any { return new(batch) }
	n.runs.New = func() any { return new(run) }
	n.background, n.cancel = context.WithCancel(context.Background())
	n.files = newOpenFiles(cfg.MaxOpenFiles, n.receivers)
	n.cursors = newCursors(n)
	n.readers = &readers{node: n, wake: make(chan struct{}, 1)}
	n.alarms = &alarms{wake: make(chan struct{}, 1)}
	n.heads = &heads{node: n, wake: make(chan struct{}, 1)}
	n.presence = &attendance{node: n, wake: make(chan struct{}, 1)}
	n.surrenders = &surrenders{node: n, wake: make(chan struct{}, 1)}
	for range cfg.Committers {
		n.committers = append(n.committers, newCommitter(n))
	}
	if cfg.Links != nil {
		n.files.join(cfg.Links, n.bus, n.self(), n.log, n.begin)
	}
	n.bus.Listen(n)
	n.catalog.Watch(func(c backplane.Command) { n.Command(&c) })
	return n, nil
}

// Run does the node's work until ctx is done; then it finishes what waits for its commit, carries the last acks to the
// store, and returns. Connections should be closed by then.
func (n *Node) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	last, stopLast := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLast()
	var workers, cursors sync.WaitGroup
	workers.Go(func() { n.alarms.run(work, n.clock) })
	for range n.cfg.Readers {
		workers.Go(func() { n.readers.run(work) })
	}
	for _, k := range n.committers {
		workers.Go(func() { k.run(work) })
	}
	workers.Go(func() { n.heads.run(work) })
	workers.Go(func() { n.presence.run(work) })
	workers.Go(func() { n.files.run(work) })
	workers.Go(func() { n.sweep(work) })
	workers.Go(func() { n.check(work) })
	workers.Go(func() { n.live(work) })
	workers.Go(func() { n.pulse.run(work, n.clock) })
	workers.Go(func() { n.standing(work) })
	workers.Go(func() { n.surrenders.run(work) })
	cursors.Go(func() { n.cursors.run(last) })

	<-ctx.Done()
	n.mu.Lock()
	n.stopping = true
	n.mu.Unlock()
	n.cancel()
	n.work.Wait()
	stop()
	workers.Wait()
	stopLast()
	cursors.Wait()
	return nil
}

// begin does something in the background. False: the node is stopping, and it is not done.
func (n *Node) begin(do func(ctx context.Context)) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.stopping {
		return false
	}
	n.work.Go(func() { do(n.background) })
	return true
}

// Open opens a Peer for an accepted connection.
func (n *Node) Open(s Socket, from netip.Addr) Peer {
	n.figures.connections[0].Add(1)
	c := &Conn{node: n, socket: s, from: &from, number: n.numbers.Add(1), index: -1}
	c.alarm.who = c
	return c
}

// CloseSession closes a session's connections on this node, and forgets it.
func (n *Node) CloseSession(sessionID string, code protocol.CloseCode, reason string) {
	n.mu.Lock()
	t := n.tenants[sessionID]
	delete(n.tenants, sessionID)
	n.mu.Unlock()
	if t != nil {
		t.close(code, reason)
	}
	n.files.drop(sessionID)
}

// clock is the node's own, monotonic, in ns; never 0.
func (n *Node) clock() int64 { return n.at(time.Now()) }

func (n *Node) at(t time.Time) int64 { return int64(t.Sub(n.started)) + int64(time.Second) }

// storeNow is the store's clock, as last measured.
func (n *Node) storeNow() time.Time { return time.Now().Add(time.Duration(n.offset.Load())) }

// measure asks the store for its clock.
func (n *Node) measure(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	asked := time.Now()
	if now, err := n.store.Now(ctx); err == nil {
		n.offset.Store(int64(now.Sub(asked) - time.Since(asked)/2))
	}
}

// tenant finds or makes a session's tenant, and learns from its row.
func (n *Node) tenant(s storage.Session) *tenant {
	if t := n.tenantByID(s.ID); t != nil {
		t.learn(s)
		return t
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.stopping {
		return nil
	}
	t := n.tenants[s.ID]
	if t == nil {
		t = newTenant(n, s)
		t.used.Store(n.clock())
		n.tenants[s.ID] = t
	}
	return t
}

func (n *Node) tenantByID(id string) *tenant {
	n.mu.RLock()
	defer n.mu.RUnlock()
	t := n.tenants[id]
	if t != nil {
		t.used.Store(n.clock()) // under the lock: whoever forgets idle tenants holds it alone
	}
	return t
}

// allTenants lists the tenants.
func (n *Node) allTenants() []*tenant {
	n.mu.RLock()
	defer n.mu.RUnlock()
	list := make([]*tenant, 0, len(n.tenants))
	for _, t := range n.tenants {
		list = append(list, t)
	}
	return list
}

// topicOf finds a topic that this node serves, or nil.
func (n *Node) topicOf(session, topic string) *topic {
	n.mu.RLock()
	t := n.tenants[session]
	n.mu.RUnlock()
	if t == nil {
		return nil
	}
	return t.find(topic)
}

// durableTopics lists the topics that have a durable subscriber here.
func (n *Node) durableTopics() []*topic {
	var list []*topic
	for _, t := range n.allTenants() {
		for _, tp := range t.all() {
			if tp.isDurable() {
				list = append(list, tp)
			}
		}
	}
	return list
}
