package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

// Server serves HTTP and WebSocket on the same listeners. Make one with [New]; end it with [Server.Drain] or
// [Server.Close].
type Server struct {
	cfg      Config
	engine   session.Engine
	fallback http.Handler
	http     *http.Server
	start    time.Time // zero of now
	tickTime time.Duration

	roster   roster
	limits   *addressLimits
	deflater *deflater
	buffers  buffers
	outboxes sync.Pool // of *outbox
	batches  sync.Pool // of *batch

	open     atomic.Int64 // WebSocket connections, and upgrades under way
	pending  atomic.Int64
	refusing atomic.Int64 // refused connections that still linger
	rejected [reasons]atomic.Uint64
	draining atomic.Bool
	none     chan struct{} // told when a draining server's last connection is gone

	life    sync.Mutex // guards the following: nothing starts once draining is set
	started bool

	pollers  []*poller    // none: a goroutine per connection
	rounds   atomic.Int32 // pollers at work
	nextPoll atomic.Uint32
	stopTick context.CancelFunc
	tasks    sync.WaitGroup // all goroutines that the server started

	drainOnce sync.Once
	drainErr  error
	hurry     chan struct{} // closed by Close
	hurryOnce sync.Once
}

// New makes a server for engine's connections. Requests that are no WebSocket upgrade of / or /ws go to fallback.
// Nothing runs before Serve.
func New(cfg Config, engine session.Engine, fallback http.Handler) *Server {
	cfg = cfg.withDefaults()
	s := &Server{
		cfg: cfg, engine: engine, fallback: fallback, start: time.Now(), tickTime: tickTime(&cfg),
		limits:   newAddressLimits(cfg.MaxConnectionsPerIP, cfg.ConnectionRate, cfg.ConnectionBurst),
		none:     make(chan struct{}, 1),
		hurry:    make(chan struct{}),
		stopTick: func() {},
	}
	s.roster = newRoster(max(4, 2*runtime.GOMAXPROCS(0)), int(max(1, cfg.PingInterval/s.tickTime)))
	s.deflater = &deflater{buffers: &s.buffers}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s.http = &http.Server{
		Handler:           http.HandlerFunc(s.route),
		ReadHeaderTimeout: cfg.HeaderTimeout,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    protocol.MaxHeaderBytes - 4096, // net/http grants 4096 more than it is told
		Protocols:         protocols,
		ConnContext:       withFrontConn,
		// What it has to say is about single clients: broken TLS, bad requests.
		ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return s
}

// Serve takes connections from ln until Drain or Close, and then returns nil. It may be called for several listeners.
func (s *Server) Serve(ln net.Listener) error {
	if err := s.begin(); err != nil {
		ln.Close()
		return err
	}
	defer s.tasks.Done()
	var front net.Listener = &frontDoor{Listener: ln, srv: s}
	door, err := s.openDoor(ln)
	if err != nil {
		ln.Close()
		return fmt.Errorf("gateway: listen: %w", err)
	}
	if door != nil {
		front = door
		defer door.finish()
	}
	if s.cfg.TLS != nil {
		cfg := s.cfg.TLS.Clone()
		cfg.NextProtos = []string{"http/1.1"}
		front = tls.NewListener(front, cfg)
	}
	if err := s.http.Serve(front); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// begin starts what all listeners share, and adds the caller to the tasks.
func (s *Server) begin() error {
	s.life.Lock()
	defer s.life.Unlock()
	if s.draining.Load() {
		return http.ErrServerClosed
	}
	if !s.started {
		if !s.cfg.Goroutines && s.cfg.TLS == nil {
			var err error
			if s.pollers, err = newPollers(s, s.cfg.Pollers); err != nil {
				return err
			}
		}
		s.started = true
		ctx, cancel := context.WithCancel(context.Background())
		s.stopTick = cancel
		s.tasks.Go(func() { s.tick(ctx) })
		for _, p := range s.pollers {
			s.tasks.Go(p.run)
			s.tasks.Go(p.flusher)
		}
	}
	s.tasks.Add(1)
	return nil
}

// now is the time since the server was made: it never goes back, and is never 0.
func (s *Server) now() time.Duration { return time.Since(s.start) + 1 }

// gone gives a connection's place free. Called once, when its socket is closed.
func (s *Server) gone(c *conn) {
	c.slot.release(s)
	s.leave()
}

func (s *Server) leave() {
	if s.open.Add(-1) == 0 && s.draining.Load() {
		select {
		case s.none <- struct{}{}:
		default:
		}
	}
}

func (s *Server) takeOutbox() *outbox {
	if o, ok := s.outboxes.Get().(*outbox); ok {
		return o
	}
	return new(outbox)
}

// giveOutbox takes back an empty one, or nil.
func (s *Server) giveOutbox(o *outbox) {
	if o != nil && o.small() {
		s.outboxes.Put(o)
	}
}
