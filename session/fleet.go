package session

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fastport/fastport/backplane"
)

const (
	homeLease   = 90 * time.Second // a file's, renewed
	homeRenewal = 15 * time.Second // so often: it outlives its home by 75 s at least, which is more than SenderAway
	spentLease  = 5 * time.Minute  // after the file's end
	askPatience = 2 * time.Second  // for the backplane, and for the other nodes to name their receivers
	openTimeout = 12 * time.Second // for a file to find its home: longer than a dead node's heartbeat lives
	deadFor     = 30 * time.Second // nobody listened at a node's address
	maxPlaces   = 1 << 16          // connections of one node in one file
	maxQueued   = 4 * maxFeed      // what waits for one of them
)

// fleet is what openFiles knows of the other nodes. There is none without Links.
type fleet struct {
	files *openFiles
	links Links
	bus   fleetBus
	name  string // this node, never another's before or after it
	self  string // its address
	// this node's, never another's before or after it
	log   *slog.Logger
	spawn func(func(context.Context)) bool

	renewed time.Time // owned by the sweep

	mu    sync.Mutex // guards the following
	wires map[*wire]struct{}
	dead  map[string]time.Time // nodes at whose address nobody listened
}

type fleetBus interface {
	backplane.Leases
	Nodes(ctx context.Context) ([]backplane.Node, error)
}

// join makes ts one of a cluster's.
func (ts *openFiles) join(links Links, bus fleetBus, self backplane.Node, log *slog.Logger, spawn func(func(context.Context)) bool) {
	ts.fleet = &fleet{files: ts, links: links, bus: bus, name: fleetName(self), self: self.Address, log: log, spawn: spawn,
		renewed: time.Now(),
		wires:   make(map[*wire]struct{}), dead: make(map[string]time.Time)}
	links.Listen(ts.fleet.accept)
}

// fleetName tells a node from a later one of the same id.
func fleetName(n backplane.Node) string {
	return n.ID + "/" + strconv.FormatInt(n.Started.UnixMilli(), 36)
}

// others lists the other nodes that files may go to: address by name.
func (f *fleet) others(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	nodes, err := f.bus.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	list := make(map[string]string, len(nodes))
	for _, n := range nodes {
		if name := fleetName(n); name != f.name && n.Address != "" && !f.isDead(name) {
			list[name] = n.Address
		}
	}
	return list, nil
}

// address finds a node. "": it lives no more.
func (f *fleet) address(ctx context.Context, name string) (string, error) {
	list, err := f.others(ctx)
	return list[name], err
}

// buried takes in that nobody listens at a node's address any more, before its heartbeat's lease ends.
func (f *fleet) buried(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	for other, since := range f.dead {
		if now.Sub(since) > deadFor {
			delete(f.dead, other)
		}
	}
	f.dead[name] = now
}

func (f *fleet) isDead(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	since, dead := f.dead[name]
	return dead && time.Since(since) <= deadFor
}

// check keeps the links' patience, and the leases.
func (f *fleet) check(now time.Time) {
	if now.Sub(f.renewed) >= homeRenewal {
		f.renewed = now
		f.spawn(f.renew)
	}
	f.mu.Lock()
	list := make([]*wire, 0, len(f.wires))
	for w := range f.wires {
		list = append(list, w)
	}
	f.mu.Unlock()
	for _, w := range list {
		w.check(now)
	}
}

// The lease of a file: its key, and who holds it for which content.

func leaseKey(session string, id fileID) string {
	return "file:" + session + ":" + hex.EncodeToString(id[:])
}

func (f *fleet) lease(print [32]byte) string {
	return f.name + " " + base64.RawURLEncoding.EncodeToString(print[:])
}

func parseLease(value string) (home string, print [32]byte, ok bool) {
	i := strings.LastIndexByte(value, ' ')
	if i < 0 {
		return "", print, false
	}
	b, err := base64.RawURLEncoding.DecodeString(value[i+1:])
	if err != nil || len(b) != len(print) {
		return "", print, false
	}
	copy(print[:], b)
	return value[:i], print, true
}

// claim asks for a file's lease, or renews it.
func (f *fleet) claim(ctx context.Context, t *transfer, ttl time.Duration) (held string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	return f.bus.Claim(ctx, leaseKey(t.session, t.id), f.lease(t.print), ttl)
}

func (f *fleet) holder(ctx context.Context, session string, id fileID) (held string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	return f.bus.Holder(ctx, leaseKey(session, id))
}

func (f *fleet) release(ctx context.Context, session string, id fileID, held string) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	if err := f.bus.Release(ctx, leaseKey(session, id), held); err != nil {
		f.log.Debug("a file's lease was not released", slog.Any("error", err))
	}
}

// renew renews the leases of the files whose home is here. Where another node holds one, the file has gone on there.
func (f *fleet) renew(ctx context.Context) {
	for _, t := range f.files.all() {
		if t.isStarting() {
			continue
		}
		held, err := f.claim(ctx, t, homeLease)
		switch {
		case err != nil:
			return // the backplane is away: what runs goes on without it
		case held != f.lease(t.print):
			f.log.Info("a file went on at another node")
			t.moveOut()
		}
	}
}
