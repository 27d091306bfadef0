package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
)

var (
	errWrong  = protocol.Errorf(protocol.Unauthorized, "username or password is wrong")
	errLocked = protocol.Errorf(protocol.RateLimited, "too many failed log-ins from this address, try again later")
)

// login answers {success, token} and sets the cookie. Every login has a token of its own, never one that a client
// brought along.
func (a *Admin) login(c echo.Context) error {
	var body struct {
		Username session.Credential `json:"username"`
		Password session.Credential `json:"password"`
	}
	if err := decode(c.Request(), &body, "username", "password"); err != nil {
		return err
	}
	user, pass := string(body.Username), string(body.Password)
	if len(user) > protocol.MaxNameBytes || len(pass) > protocol.MaxPassword {
		return errWrong
	}
	r := c.Request()
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	from := a.cfg.ClientAddr(r)
	if locked := a.failures.attempt(ctx, user, from); locked > 0 {
		c.Response().Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(locked.Seconds()))))
		a.audit(r, user, ActionLogin, "", errLocked)
		return errLocked
	}
	if !a.right(user, pass) {
		a.audit(r, user, ActionLogin, "", errWrong)
		return errWrong
	}
	a.failures.succeeded(ctx, user, from)

	token := newToken()
	if err := a.cfg.Store.SaveLogin(ctx, a.tokenHash(token), user); err != nil {
		a.log.Error("admin: a login could not be stored", slog.Any("cause", err))
		return unavailable()
	}
	if before, ok := c.Get(identityKey).(identity); ok && before.user != "" {
		a.forget(ctx, before.hash, "") // a browser has one login, the newest
	}
	a.setCookie(c, token, int(validFor/time.Second))
	a.audit(r, user, ActionLogin, "", nil)
	return c.JSON(http.StatusOK, map[string]any{"success": true, "token": token})
}

// logout ends this login, or with everywhere:true all of this operator's, on every node.
func (a *Admin) logout(c echo.Context) error {
	var body struct {
		Everywhere bool `json:"everywhere"`
	}
	if err := decode(c.Request(), &body, "everywhere"); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), storeTimeout)
	defer cancel()
	who, _ := c.Get(identityKey).(identity)
	hash, action := who.hash, ActionLogout
	if body.Everywhere {
		hash, action = nil, ActionLogoutAll
	}
	if !a.forget(ctx, hash, who.user) {
		return unavailable()
	}
	a.peers.tell(ctx, "logout")
	a.audit(c.Request(), who.user, action, "", nil)
	a.setCookie(c, "", -1)
	return c.JSON(http.StatusOK, map[string]any{"success": true})
}

// answerLogout has every page of this node look whether its login still stands.
func (a *Admin) answerLogout(context.Context, json.RawMessage) (any, error) {
	a.ended.ring()
	return struct{}{}, nil
}

// forget ends a login, or all of user's where hash is nil.
func (a *Admin) forget(ctx context.Context, hash []byte, user string) bool {
	err := a.cfg.Store.DeleteLogins(ctx, hash, user)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		a.log.Error("admin: a login could not be ended", slog.Any("cause", err))
		return false
	}
	return true
}

func (a *Admin) setCookie(c echo.Context, token string, seconds int) {
	r := c.Request()
	c.SetCookie(&http.Cookie{
		Name:     a.cookieName(r),
		Value:    token,
		Path:     "/",
		MaxAge:   seconds,
		HttpOnly: true,
		Secure:   a.cfg.Secure(r),
		SameSite: http.SameSiteStrictMode,
	})
}

// decode reads the JSON object of a request. No body is an empty one.
func decode(r *http.Request, to any, known ...string) error {
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) == 0 {
		return err
	}
	return protocol.DecodeJSON(body, to, known...)
}
