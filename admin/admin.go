// Package admin is the operator's API: logging in, what the cluster is doing, which sessions there are.
//
// An operator logs in with ADMIN_USER and ADMIN_PASS and gets a token, kept by the store as a hash alone, so that any
// node knows it and none can give it away. It comes back as a bearer token (scripts) or as a cookie (browsers); what
// came by cookie must not come from another site. Package api mounts the routes, bounds bodies and writes errors.
package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
)

// Config is what an Admin is made of.
type Config struct {
	User string // ADMIN_USER
	Pass string // ADMIN_PASS; "" turns the operator's API off

	Store     storage.Store
	Catalog   *session.Catalog
	Backplane backplane.Backplane
	Logger    *slog.Logger

	NodeID  string
	Version string
	Started time.Time
	Figures func() Figures // of this node, now; nil: ReadFigures without connections
	Engine  Engine         // of this node; nil: there is nothing to see in it
	Drain   func()         // begins to drain this node; nil: that cannot be done. It must not block
	Logs    *Logs          // of this node; nil: none are shown
	Portal  bool           // serve it (ENABLE_WEB_PORTAL)

	// ClientAddr is where a request came from, Secure whether it came over TLS, at a trusted proxy perhaps.
	// nil: what the socket says.
	ClientAddr func(*http.Request) netip.Addr
	Secure     func(*http.Request) bool
}

// Admin serves the operator's API of one node.
type Admin struct {
	cfg      Config
	log      *slog.Logger
	audits   *slog.Logger
	secret   [sha256.Size]byte // of user and password together
	origin   *http.CrossOriginProtection
	failures failures
	peers    *peers
	past     past
	board    board
	streams  atomic.Int64
	ended    bell // some login
}

// New makes an Admin; with an empty Pass it is off: it knows nobody, and has no routes.
func New(cfg Config) *Admin {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Figures == nil {
		cfg.Figures = func() Figures { return ReadFigures(0) }
	}
	if cfg.ClientAddr == nil {
		cfg.ClientAddr = peer
	}
	if cfg.Secure == nil {
		cfg.Secure = func(r *http.Request) bool { return r.TLS != nil }
	}
	a := &Admin{
		cfg:    cfg,
		log:    cfg.Logger,
		audits: cfg.Logger.With(slog.String("logger", "audit")),
		secret: credentials(cfg.User, cfg.Pass),
		origin: http.NewCrossOriginProtection(),
		failures: failures{
			counters: cfg.Backplane,
			alone:    rate.NewLimiter(rate.Every(lockWindow/maxFailures), maxFailures),
		},
		peers: newPeers(cfg.NodeID, cfg.Backplane, cfg.Logger),
	}
	a.peers.answers = map[string]answerer{
		"history": a.answerHistory,
		"session": a.answerSession,
		"trace":   a.answerTrace,
		"logs":    a.answerLogs,
		"drain":   a.answerDrain,
		"logout":  a.answerLogout,
	}
	return a
}

// Command takes what other nodes ask and answer; the engine passes it on. It does not block.
func (a *Admin) Command(c *backplane.Command) {
	if a.Enabled() {
		a.peers.command(c)
	}
}

// Sample takes in the figures of a heartbeat, for the charts of the last minutes.
func (a *Admin) Sample(f Figures) { a.past.add(time.Now(), f) }

// Close ends every stream, and takes no more. Idempotent.
func (a *Admin) Close() { a.peers.close() }

// Enabled reports whether there is an operator's API.
func (a *Admin) Enabled() bool { return a.cfg.Pass != "" }

// Register adds the routes to the group of /api/admin. Its requests have passed [Admin.Identify].
func (a *Admin) Register(g *echo.Group) {
	if !a.Enabled() {
		return
	}
	g.POST("/login", a.login, a.sameSite)
	g.POST("/logout", a.logout, a.sameSite, a.required)
	g.GET("/stats", a.stats, a.required)
	g.GET("/sessions", a.sessions, a.required)
	g.GET("/sessions/:name", a.sessionDetail, a.required)
	g.GET("/sessions/:name/devices", a.devices, a.required)
	g.GET("/me", a.me)
	g.GET("/events", a.events, a.required)
	g.GET("/audits", a.listAudits, a.required)
	g.GET("/trace", a.trace, a.required)
	g.POST("/trace", a.watch, a.sameSite, a.required)
	g.POST("/nodes/:id/drain", a.drain, a.sameSite, a.required)
}

// me answers who is logged in, where: user null for nobody, so that a browser's first question is no error.
func (a *Admin) me(c echo.Context) error {
	if User(c) == "" {
		return c.JSON(http.StatusOK, map[string]any{"success": true, "user": nil})
	}
	return c.JSON(http.StatusOK, map[string]any{"success": true, "user": User(c), "node": a.cfg.NodeID, "version": a.cfg.Version})
}

// right compares a user and password in constant time, whichever is wrong.
func (a *Admin) right(user, pass string) bool {
	given := credentials(user, pass)
	return subtle.ConstantTimeCompare(given[:], a.secret[:]) == 1 && a.Enabled()
}

func credentials(user, pass string) [sha256.Size]byte {
	u, p := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(pass))
	return sha256.Sum256(append(u[:], p[:]...))
}

func peer(r *http.Request) netip.Addr {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr().Unmap()
}
