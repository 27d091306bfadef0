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

	// ClientAddr is where a request came from, Secure whether it came over TLS, at a trusted proxy perhaps.
	// nil: what the socket says.
	ClientAddr func(*http.Request) netip.Addr
	Secure     func(*http.Request) bool
}

// Admin serves the operator's API of one node.
type Admin struct {
	cfg      Config
	log      *slog.Logger
	secret   [sha256.Size]byte // of user and password together
	origin   *http.CrossOriginProtection
	failures failures
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
	return &Admin{
		cfg:    cfg,
		log:    cfg.Logger,
		secret: credentials(cfg.User, cfg.Pass),
		origin: http.NewCrossOriginProtection(),
		failures: failures{
			counters: cfg.Backplane,
			alone:    rate.NewLimiter(rate.Every(lockWindow/maxFailures), maxFailures),
		},
	}
}

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
