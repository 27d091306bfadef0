// Package redis is the backplane of a cluster: routing, presence, control, counters and leases over a Redis that
// stands alone, under Sentinel, or as a Redis Cluster. It keeps nothing that matters there; see package backplane.
//
// A topic is a channel of Redis pub/sub. What a node announces goes through one pipelined connection to the Redis that
// carries the channel (a publisher), and comes back to every node that joined, this one too, through another (a
// subscriber): Redis is a single thread, so its order is everyone's. Both together are a line; a node's lines, one to
// each server that carries channels, are its link. A link is made and given up as a whole, whatever broke:
//
//	connect > measure the clock > subscribe > canary out and back > Link(true) ... broken > Link(false) > connect
//
// Nothing is dropped between: what a subscriber reads is passed on in its own goroutine, in order, and a connection
// that Redis cuts is a Link(false). Commands that are no routing go through a pool of go-redis.
package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fastport/fastport/backplane"
)

var _ backplane.Backplane = (*Backplane)(nil)

// Options is where Redis is and who asks.
type Options struct {
	// URL (REDIS_URL) is one Redis, redis://user:password@host:port/db, or its Sentinels,
	// redis://sentinelUser:sentinelPassword@host:port/db?master_name=name&addr=host2:port2&username=…&password=….
	// rediss:// is TLS; &tls_ca=/file trusts the authorities in it instead of the system's, &skip_verify=true anybody.
	URL string
	// URLs (REDIS_URLS) is some nodes of a Redis Cluster, of the same form, with commas between. One of the two is set.
	URLs string

	NodeID string       // required, unique in the cluster
	Logger *slog.Logger // nil: none
	Prefix string       // of all keys and channels; "": fp:
}

const (
	callPatience = 2 * time.Second // for a command that is no routing
	openPatience = 2 * time.Second // for the first link, in Open
)

// Backplane is one node's end of it.
type Backplane struct {
	id     string
	sender string // this end, among all that ever had the node's name
	target *target
	names  names
	client goredis.UniversalClient
	log    *slog.Logger
	counts counts

	canaries atomic.Uint64          // names made
	link     atomic.Pointer[link]   // nil while it is down
	master   atomic.Pointer[string] // address, where there is one
	fault    atomic.Pointer[error]
	presence presence
	stop     context.CancelFunc
	running  sync.WaitGroup
	ending   sync.Once
	leased   atomic.Bool // there may be a lease to end
	closed   atomic.Bool

	mu       sync.Mutex // guards the following; held while the receiver is told of the link
	receiver atomic.Pointer[backplane.Receiver]
	told     bool // what the receiver believes of the link

	// Owned by run.
	reason string // why there is no link, as it was logged
}

// Open begins to connect and returns once the link is up, or could not be made at the first attempt, or after 2 s; it
// goes on connecting until Close. It fails only for options that are wrong.
func Open(ctx context.Context, o Options) (*Backplane, error) {
	t, err := parse(o)
	if err != nil {
		return nil, err
	}
	if o.NodeID == "" {
		return nil, errors.New("redis: the node has no id")
	}
	if o.Prefix == "" {
		o.Prefix = "fp:"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	b := &Backplane{id: o.NodeID, sender: rand.Text()[:12], target: t, names: newNames(o.Prefix, t.db), log: o.Logger, told: true}
	b.master.Store(&t.seeds[0])
	b.client = b.dialer()
	b.presence.init(b)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	b.stop = stop
	tried := make(chan struct{}, 1)
	b.running.Go(func() { b.run(running, tried) })
	patience := time.NewTimer(openPatience)
	defer patience.Stop()
	select {
	case <-tried:
	case <-patience.C:
	case <-ctx.Done():
	}
	return b, nil
}

// dialer makes the pool for what is no routing. It never repeats a command by itself: it cannot know which may be.
// It speaks RESP2, as the lines do.
func (b *Backplane) dialer() goredis.UniversalClient {
	t := b.target
	if t.shape == cluster {
		return goredis.NewClusterClient(&goredis.ClusterOptions{
			Addrs: t.seeds, Username: t.user, Password: t.password, TLSConfig: t.tls, Protocol: 2, MaxRetries: -1,
			DialTimeout: dialPatience, ReadTimeout: callPatience, WriteTimeout: callPatience, PoolTimeout: callPatience,
			ContextTimeoutEnabled: true, DialerRetries: 1, DisableIdentity: true, PipelinePoolSize: -1, ClientName: b.clientName("pool"),
		})
	}
	return goredis.NewClient(&goredis.Options{
		Addr: t.seeds[0], Username: t.user, Password: t.password, DB: t.db, Protocol: 2, MaxRetries: -1,
		DialTimeout: dialPatience, ReadTimeout: callPatience, WriteTimeout: callPatience, PoolTimeout: callPatience,
		ContextTimeoutEnabled: true, DialerRetries: 1, DisableIdentity: true, PipelinePoolSize: -1, ClientName: b.clientName("pool"),
		// The master's address may change under it; TLS is the target's.
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) { return t.connect(ctx, *b.master.Load()) },
	})
}

// clientName is how CLIENT LIST shows a connection: Redis takes no spaces in it.
func (b *Backplane) clientName(role string) string {
	id := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, b.id)
	return "fastport:" + id + ":" + role
}

// canaryName is a name of this end's own that the shard carries.
func (b *Backplane) canaryName(s shard) string {
	for {
		name := b.names.canary(b.sender, b.canaries.Add(1)) // never one that was used before: its messages may be late
		if s.holds(name) {
			return name
		}
	}
}

// Listen names who receives. If the link is down it is told so before Listen returns.
func (b *Backplane) Listen(r backplane.Receiver) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.receiver.Store(&r)
	b.told = b.link.Load() != nil
	if !b.told {
		r.Link(false)
	}
}

// turn takes a link into use, or says that there is none.
func (b *Backplane) turn(k *link, cause error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	up := k != nil
	if up {
		b.link.Store(k)
		b.reason = ""
		b.log.Info("redis: connected", "servers", len(k.lines))
	} else if said := cause.Error(); said != b.reason { // once, not at every attempt
		b.reason = said
		b.log.Warn("redis: out of reach", "cause", said, "fault", b.Fault() != nil)
	}
	if r := b.receiver.Load(); r != nil && b.told != up {
		b.told = up
		(*r).Link(up)
	}
}

// note takes down why the link is lost, or could not be made.
func (b *Backplane) note(ctx context.Context, cause error) {
	if ctx.Err() != nil {
		return
	}
	if !errors.Is(cause, errDeaf) {
		b.fault.Store(nil)
		return
	}
	b.counts.deaf.Add(1)
	b.fault.Store(&cause)
}

// heard ends a fault: a canary has come back on a line in use.
func (b *Backplane) heard() {
	if b.fault.Load() != nil {
		b.fault.Store(nil)
	}
}

// Fault is set from when the canary has stayed away for 5 s, though Redis took it, until one has come back. Redis out
// of reach is no fault of this node.
func (b *Backplane) Fault() error {
	if err := b.fault.Load(); err != nil {
		return *err
	}
	return nil
}

// Close ends this node's part. No call to its Receiver begins afterwards; it must not be called from one.
func (b *Backplane) Close() error {
	b.ending.Do(func() {
		b.closed.Store(true)
		b.stop()
		b.running.Wait()
		b.retire()
		b.client.Close()
	})
	return nil
}

// call checks and bounds a command that is no routing.
func (b *Backplane) call(ctx context.Context, verb string, do func(ctx context.Context) error) error {
	if b.closed.Load() {
		return fmt.Errorf("redis: %s: closed: %w", verb, backplane.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	if err := do(ctx); err != nil {
		return unavailable(verb, err)
	}
	return nil
}
