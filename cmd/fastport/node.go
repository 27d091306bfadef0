package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/gateway"
	"github.com/fastport/fastport/metrics"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
)

// Node is a whole broker in one process: a store, a backplane, an engine, and sockets in front of them. Several fit one
// process, each on a port of its own.
type Node struct {
	config    *Config
	id        string
	log       *slog.Logger
	storeText string // which store, for people
	planeText string // which Redis, for people; "": none

	store    storage.Store
	plane    backplane.Backplane
	engine   *session.Node
	server   *gateway.Server
	listener net.Listener
	between  *between     // nil without a cluster
	ops      *http.Server // nil without METRICS_PORT
	opsAddr  net.Addr

	operator atomic.Pointer[admin.Admin]
	logs     *admin.Logs
	asked    chan struct{} // closed once an operator has asked this node to drain
	askOnce  sync.Once

	draining atomic.Bool
	watch    watch
	pulse    admin.Pulse
	refused  *metrics.Labels // HTTP requests, by code
	metrics  http.Handler    // set before anything is served
	started  time.Time

	stop    context.CancelFunc // the engine's
	running sync.WaitGroup
	failed  chan error // the first of what ended by itself
	once    sync.Once
	ended   error
}

// startNode opens everything that c names, and returns once the ports answer. On an error nothing is left running.
func startNode(ctx context.Context, c *Config, log *slog.Logger) (_ *Node, err error) {
	n := &Node{config: c, id: nodeID(c), started: time.Now(), failed: make(chan error, 4), asked: make(chan struct{}),
		refused: metrics.NewLabels(protocol.Codes...)}
	if c.AdminPass != "" {
		n.logs = new(admin.Logs)
		log = slog.New(slog.NewMultiHandler(log.Handler(), n.logs.Handler(c.Level())))
	}
	n.log = log.With(slog.String("node", n.id))
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()

	// Ports first: a second server on the same machine must not wait for a store before it says so.
	if n.listener, err = listen(c.Host, c.Port, "PORT"); err != nil {
		return nil, err
	}
	secure, err := tlsConfig(c)
	if err != nil {
		return nil, err
	}
	sealer, err := openSealer(c, n.log)
	if err != nil {
		return nil, err
	}
	if n.store, n.storeText, err = openStore(ctx, c); err != nil {
		return nil, err
	}
	if n.plane, n.planeText, err = openPlane(ctx, c, n.id, n.log); err != nil {
		return nil, err
	}
	if c.Cluster() {
		if n.between, err = openBetween(c, n.log); err != nil {
			return nil, err
		}
	}
	catalog := session.NewCatalog(session.CatalogConfig{
		Store: n.store, Control: n.plane, Sealer: sealer, Logger: n.log, MaxRetention: c.MaxRetention,
	})
	engine := session.Config{
		NodeID: n.id, Store: n.store, Backplane: n.plane, Catalog: catalog, Logger: n.log, Describe: n.describe, Operators: n.operators,
		MaxPayload: c.MaxPayload, MaxRetention: c.MaxRetention, OutboxBytes: c.OutboxBytes,
		MaxTopics: c.MaxTopics, MaxOpenFiles: c.MaxOpenFiles,
		SessionMessageRate: c.SessionMessageRate, SessionByteRate: c.SessionByteRate,
	}
	if n.between != nil {
		engine.Links, engine.Address = n.between.plane, n.between.address
	}
	if n.engine, err = session.New(engine); err != nil {
		return nil, err
	}
	pusher := n.newPusher(catalog)
	n.server = gateway.New(gatewayConfig(c, secure, n.log), n.engine, n.handler(catalog))

	n.metrics = n.metricsHandler(catalog, pusher)

	engineCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stop = stop
	n.goRun("engine", func() error { return n.engine.Run(engineCtx) })
	n.goRun("health", func() error { return n.watchHealth(engineCtx) })
	if n.between != nil {
		n.goRun("data plane", func() error { return n.between.plane.Serve(n.between.listener) })
	}
	n.goRun("pushes", func() error { return pusher.Run(engineCtx) })
	n.goRun("gateway", func() error { return n.server.Serve(n.listener) })
	if c.MetricsPort != noPort {
		if err = n.serveOps(); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// goRun runs a part until the node ends. One that ends with an error takes the node along, see Failed.
func (n *Node) goRun(part string, run func() error) {
	n.running.Go(func() {
		if err := run(); err != nil && !errors.Is(err, context.Canceled) {
			select {
			case n.failed <- fmt.Errorf("%s: %w", part, err):
			default: // one reason is enough
			}
		}
	})
}

// Failed tells why a part ended by itself.
func (n *Node) Failed() <-chan error { return n.failed }

// DrainAsked tells that an operator has asked this node to drain: whoever runs it does.
func (n *Node) DrainAsked() <-chan struct{} { return n.asked }

// operators passes on what other nodes' operators ask. While the node starts there is nobody to answer.
func (n *Node) operators(c *backplane.Command) {
	if o := n.operator.Load(); o != nil {
		o.Command(c)
	}
}

// Addr is where clients connect.
func (n *Node) Addr() net.Addr { return n.listener.Addr() }

// OpsAddr is where operators look; nil without METRICS_PORT.
func (n *Node) OpsAddr() net.Addr { return n.opsAddr }

// URL is where this machine finds the node.
func (n *Node) URL() string {
	if n.config.TLSCert != "" {
		return n.url("https", n.Addr())
	}
	return n.url("http", n.Addr())
}

// OpsURL is where this machine finds health and pprof.
func (n *Node) OpsURL() string { return n.url("http", n.opsAddr) }

func (n *Node) url(scheme string, at net.Addr) string {
	host := n.config.Host
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	_, port, _ := net.SplitHostPort(at.String())
	return scheme + "://" + net.JoinHostPort(host, port)
}

// Close ends the node now, in the reverse order of its start. What was acked is in the store. Idempotent.
func (n *Node) Close() error {
	n.once.Do(func() {
		n.draining.Store(true)
		n.endStreams()
		var errs []error
		if n.server != nil {
			errs = append(errs, n.server.Close())
		}
		if n.listener != nil {
			if err := n.listener.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
		if n.ops != nil {
			errs = append(errs, n.ops.Close())
		}
		if n.between != nil {
			errs = append(errs, n.between.plane.Close())
			if err := n.between.listener.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
		if n.stop != nil {
			n.stop()
		}
		n.running.Wait()
		if n.plane != nil {
			errs = append(errs, n.plane.Close())
		}
		if n.store != nil {
			errs = append(errs, n.store.Close())
		}
		n.ended = errors.Join(errs...)
	})
	return n.ended
}

func gatewayConfig(c *Config, secure *tls.Config, log *slog.Logger) gateway.Config {
	g := gateway.DefaultConfig()
	g.Logger, g.TLS = log, secure
	g.MaxPayload, g.OutboxBytes, g.Compression = c.MaxPayload, c.OutboxBytes, c.Compression
	g.CORSOrigins, g.TrustedProxies = c.CORSOrigins, c.TrustedProxies
	g.MaxConnections, g.MaxConnectionsPerIP = c.MaxConnections, c.MaxConnectionsPerIP
	g.ConnectionRate, g.ConnectionBurst = c.ConnectionRateLimit, connectionBurst*c.ConnectionRateLimit
	g.MessageRate, g.ByteRate = c.MessageRateLimit, c.ByteRateLimit
	return g
}

// connectionBurst is how many seconds' worth of connections an address may open at once.
const connectionBurst = 10

// nodeID is NODE_ID, or a name that no other node has.
func nodeID(c *Config) string {
	if c.NodeID != "" {
		return c.NodeID
	}
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	var b [4]byte
	rand.Read(b[:])
	return host + "-" + hex.EncodeToString(b[:])
}

// listen takes a port. The error of one that is taken says how to find who has it.
func listen(host string, port int, setting string) (net.Listener, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d is taken. `ss -ltnp 'sport = :%d'` or `lsof -nP -iTCP:%d -sTCP:LISTEN` shows by whom; stop that, or set %s to another", port, port, port, setting)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("port %d is for root alone: set %s to one above 1023", port, setting)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on HOST=%s, %s=%d: %w", host, setting, port, err)
	}
	return ln, nil
}

// tlsConfig is nil without TLS_CERT.
func tlsConfig(c *Config) (*tls.Config, error) {
	if c.TLSCert == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("cannot read TLS_CERT=%s with TLS_KEY=%s: %w", c.TLSCert, c.TLSKey, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, nil
}

// openSealer takes MASTER_KEY, or the key in MASTER_KEY_FILE, which it makes if it is not there. What lives in memory
// alone needs no key that outlives it.
func openSealer(c *Config, log *slog.Logger) (*session.Sealer, error) {
	key := []byte(c.MasterKey.Reveal())
	switch {
	case len(key) > 0:
	case c.DBType == dbMemory:
		key = make([]byte, session.MasterKeySize)
		rand.Read(key)
	default:
		var made bool
		var err error
		if key, made, err = session.LoadMasterKey(c.MasterKeyFile); err != nil {
			return nil, fmt.Errorf("MASTER_KEY_FILE=%s: %w", c.MasterKeyFile, err)
		}
		if made {
			log.Info("made a master key: back it up", slog.String("file", c.MasterKeyFile))
		}
	}
	var previous []byte
	if c.MasterKeyPrevious != "" {
		previous = []byte(c.MasterKeyPrevious.Reveal())
	}
	return session.NewSealer(key, previous)
}
