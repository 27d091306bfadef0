package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

const (
	idleFor   = 30 * time.Minute // a login ends so long after its last use
	validFor  = 12 * time.Hour   // and so long after it was made
	tokenSize = 32               // bytes

	storeTimeout = 5 * time.Second

	cookieName       = "fastport_admin"
	secureCookieName = "__Host-fastport_admin" // browsers take it from this host, over TLS, alone
)

// identityKey is where Identify leaves the operator in an echo.Context.
const identityKey = "fastport.admin"

// identity is a request's login.
type identity struct {
	user string
	hash []byte // of its token
}

// User is the operator who sent a request that has passed [Admin.Identify]; "" for anyone else.
func User(c echo.Context) string {
	who, _ := c.Get(identityKey).(identity)
	return who.user
}

// Identify finds out whether a request comes from an operator who has logged in, and refuses nobody: [User] tells.
func (a *Admin) Identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		who, err := a.identify(c.Request())
		if err != nil {
			return err
		}
		c.Set(identityKey, who)
		return next(c)
	}
}

func (a *Admin) identify(r *http.Request) (identity, error) {
	token, byCookie := a.token(r)
	if !a.Enabled() || len(token) != 2*tokenSize {
		return identity{}, nil
	}
	// A browser adds the cookie to whatever page's request: another site's is not the operator's own.
	if byCookie && a.origin.Check(r) != nil {
		return identity{}, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	address := a.cfg.ClientAddr(r)
	if a.failures.guessed(ctx, address) {
		return identity{}, nil
	}
	hash := a.tokenHash(token)
	login, err := a.cfg.Store.Login(ctx, hash, idleFor, validFor)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		a.failures.guess(ctx, address)
		return identity{}, nil
	case r.Context().Err() != nil: // nobody waits for the answer
		return identity{}, unavailable()
	case err != nil:
		a.log.Error("admin: a login could not be looked up", slog.Any("cause", err))
		return identity{}, unavailable()
	}
	return identity{user: login.User, hash: hash}, nil
}

func (a *Admin) token(r *http.Request) (token string, byCookie bool) {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(token), false
	}
	if c, err := r.Cookie(a.cookieName(r)); err == nil {
		return c.Value, true
	}
	return "", false
}

func (a *Admin) cookieName(r *http.Request) string {
	if a.cfg.Secure(r) {
		return secureCookieName
	}
	return cookieName
}

// newToken draws a token. Tokens are as long as a SHA-256 and need no salt.
func newToken() string {
	b := make([]byte, tokenSize)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// tokenHash is what the store has of a token. The operator's name and password are in it: when either changes, every
// login made with the old one is over.
func (a *Admin) tokenHash(token string) []byte {
	sum := sha256.Sum256(append([]byte(token), a.secret[:]...))
	return sum[:]
}

// required refuses who is not logged in.
func (a *Admin) required(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if User(c) == "" {
			return protocol.Errorf(protocol.Unauthorized, "log in at /api/admin/login and send the token: Authorization: Bearer <token>")
		}
		return next(c)
	}
}

// sameSite refuses what another site has a browser send.
func (a *Admin) sameSite(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if a.origin.Check(c.Request()) != nil {
			return echo.NewHTTPError(http.StatusForbidden).SetInternal(
				protocol.Errorf(protocol.Unauthorized, "another site's page may not do this"))
		}
		return next(c)
	}
}

func unavailable() error {
	return protocol.Errorf(protocol.Unavailable, "the store does not answer, try again")
}
