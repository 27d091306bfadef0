// Package api is the HTTP surface: what tenants and their back ends call, the operator's API (package admin) behind the
// same guards, health, the page at the root, and the JavaScript SDK below /sdk/.
//
// A request passes, in this order: the panic guard, the headers of every answer, CORS, the operator's identity, the
// rate limit, and the bounds of its body. Handlers return errors; one function writes them.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/clients/js"
	"github.com/fastport/fastport/metrics"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
)

// Publisher publishes for a session's back end, and returns when it is acked.
type Publisher interface {
	// Publish: see [session.Node.Publish].
	Publish(ctx context.Context, s storage.Session, m session.Publication) (session.Published, error)
}

var _ Publisher = (*session.Node)(nil)

// Health is how a node does.
type Health struct {
	Faults   []string // this node's own, such as "draining": it is not ready
	Degraded []string // what does not work elsewhere, such as "store": it is ready all the same
}

// Config is what the handler is made of.
type Config struct {
	Catalog   *session.Catalog
	Publisher Publisher
	Counters  backplane.Counters
	Admin     *admin.Admin
	Logger    *slog.Logger

	AdminCreatesOnly bool            // SESSION_CREATION=admin
	RateLimit        int             // API_RATE_LIMIT; 0: off
	MaxPayload       int             // bytes of a publish; 0: protocol.MaxPayload
	CORSOrigins      []string        // nil: all
	Health           func() Health   // nil: always well
	Metrics          http.Handler    // of /metrics; nil: there is none
	NoHealth         bool            // /healthz, /readyz and /metrics are elsewhere: see HealthHandler
	Refused          *metrics.Labels // counts errors by code; nil: nobody does
	BodyTimeout      time.Duration   // for a body, besides what its size grants; 0: 10 s

	// ClientAddr is where a request came from; nil: what the socket says.
	ClientAddr func(*http.Request) netip.Addr
}

// publishPath has limits of its own: those of its session, and a body of full size once the credentials are right.
const publishPath = "/api/publish"

// Bounds of a request.
const (
	// smallBody bounds what a stranger may send: createSession's largest field is a PEM of 16 KiB.
	smallBody      = 64 << 10
	bodyTimeout    = 10 * time.Second // Config.BodyTimeout's default
	bodyRate       = 64 << 10         // bytes a second that a body must come in
	requestTimeout = 30 * time.Second // for an answer, once the body is there
)

// server is Config with its handlers.
type server struct {
	Config
	origins map[string]bool
}

// New makes the handler of everything but the WebSocket upgrade.
func New(cfg Config) http.Handler {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxPayload == 0 {
		cfg.MaxPayload = protocol.MaxPayload
	}
	if cfg.BodyTimeout == 0 {
		cfg.BodyTimeout = bodyTimeout
	}
	if cfg.Health == nil {
		cfg.Health = func() Health { return Health{} }
	}
	if cfg.ClientAddr == nil {
		cfg.ClientAddr = peer
	}
	s := &server{Config: cfg}
	if cfg.CORSOrigins != nil {
		s.origins = map[string]bool{}
		for _, origin := range cfg.CORSOrigins {
			s.origins[origin] = true
		}
	}

	e := echo.New()
	e.HTTPErrorHandler = s.fail
	e.Use(s.recover, headers, under("/api/", s.cors, cfg.Admin.Identify, s.rateLimit, s.body))
	e.GET("/", s.root)
	sdk := echo.WrapHandler(js.Handler("/sdk/"))
	e.GET("/sdk/*", sdk)
	e.HEAD("/sdk/*", sdk)
	if !cfg.NoHealth {
		routeHealth(e, cfg.Health)
		if cfg.Metrics != nil {
			e.GET("/metrics", echo.WrapHandler(cfg.Metrics))
		}
	}
	e.POST("/api/createSession", s.createSession)
	e.POST("/api/dropSession", s.dropSession)
	e.POST("/api/suspendSession", s.suspendSession)
	e.POST(publishPath, s.publish)
	cfg.Admin.Register(e.Group("/api/admin"))
	cfg.Admin.RegisterPortal(e.Group(admin.PortalPath))
	return e
}

// under applies guards to every request below a path, to those for which there is no handler too: they are limited and
// refused like everything else.
func under(path string, guards ...echo.MiddlewareFunc) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		guarded := next
		for _, guard := range slices.Backward(guards) {
			guarded = guard(guarded)
		}
		return func(c echo.Context) error {
			if strings.HasPrefix(c.Request().URL.Path, path) {
				return guarded(c)
			}
			return next(c)
		}
	}
}

// HealthHandler serves /healthz and /readyz alone, for a port of the operator's own.
func HealthHandler(health func() Health) http.Handler {
	e := echo.New()
	e.HTTPErrorHandler = (&server{Config: Config{Logger: slog.New(slog.DiscardHandler)}}).fail
	e.Use(headers)
	routeHealth(e, health)
	return e
}

func peer(r *http.Request) netip.Addr {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr().Unmap()
}
