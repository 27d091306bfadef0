package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

// recover answers a panic with a 500 that tells nothing; the log has the stack.
func (s *server) recover(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch cause := recover(); {
			case cause == nil:
			case cause == http.ErrAbortHandler:
				panic(cause)
			default:
				err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
			}
		}()
		return next(c)
	}
}

// headers are those of every answer.
func headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		return next(c)
	}
}

// cors lets browsers' pages in: all where CORS_ORIGINS is not set (no tenant's call rests on cookies), else those it
// names and this host's own. Who sends no Origin is no browser. The operator's API is for this host's own pages: no
// other page may read it, whatever CORS_ORIGINS says.
func (s *server) cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, h := c.Request(), c.Response().Header()
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if origin == "" || strings.HasPrefix(r.URL.Path, "/api/admin/") {
			return next(c)
		}
		switch {
		case s.origins == nil:
			h.Set("Access-Control-Allow-Origin", "*")
		case s.origins[origin]:
			h.Set("Access-Control-Allow-Origin", origin)
		case !sameHost(origin, r.Host):
			return status(http.StatusForbidden, protocol.Errorf(protocol.Unauthorized, "this origin is not in CORS_ORIGINS"))
		}
		h.Set("Access-Control-Expose-Headers", "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "POST")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			h.Set("Access-Control-Max-Age", "600")
			return c.NoContent(http.StatusNoContent)
		}
		return next(c)
	}
}

func sameHost(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, host)
}

const rateWindow = 15 * time.Minute

// rateLimit counts an address's calls on all nodes. An operator's own do not count, so that a noisy neighbour behind
// the same address does not shut the operator out. Where the counters cannot be reached, nobody is refused.
func (s *server) rateLimit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if s.RateLimit <= 0 || admin.User(c) != "" || c.Path() == publishPath {
			return next(c)
		}
		key := "api:" + session.AddressKey(s.ClientAddr(c.Request())).String()
		total, left, err := s.Counters.Add(c.Request().Context(), key, 1, rateWindow)
		if err != nil {
			s.Logger.Warn("calls are not limited: the counters cannot be reached", slog.Any("cause", err))
			return next(c)
		}
		seconds := strconv.Itoa(int(math.Ceil(left.Seconds())))
		h := c.Response().Header()
		h.Set("RateLimit-Limit", strconv.Itoa(s.RateLimit))
		h.Set("RateLimit-Remaining", strconv.FormatInt(max(0, int64(s.RateLimit)-total), 10))
		h.Set("RateLimit-Reset", seconds)
		if total > int64(s.RateLimit) {
			h.Set("Retry-After", seconds)
			return protocol.Errorf(protocol.RateLimited, "too many calls from this address, try again after the seconds in Retry-After")
		}
		return next(c)
	}
}

// body bounds a request's body and the time for all of it, and takes JSON alone: a page of another site can have a
// browser send anything else without being asked.
func (s *server) body(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if r.Method == http.MethodGet || r.Method == http.MethodHead || c.Path() == publishPath {
			return next(c)
		}
		if r.ContentLength != 0 && !isJSON(r) {
			return status(http.StatusUnsupportedMediaType, protocol.Errorf(protocol.BadRequest, "Content-Type: takes application/json"))
		}
		s.bound(c, smallBody)
		ctx, cancel := context.WithTimeout(r.Context(), s.BodyTimeout+requestTimeout)
		defer cancel()
		c.SetRequest(r.WithContext(ctx))
		return next(c)
	}
}

func isJSON(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// errBody wraps what went wrong while a body came.
var errBody = errors.New("api: body")

// bound has the body end with an error beyond limit bytes, or once it comes slower than bodyRate.
func (s *server) bound(c echo.Context, limit int) {
	r := c.Request()
	grant := min(max(r.ContentLength, 0), int64(limit))
	if r.ContentLength < 0 {
		grant = int64(limit)
	}
	conn := http.NewResponseController(c.Response())
	// An error means a writer without deadlines: its server has others.
	_ = conn.SetReadDeadline(time.Now().Add(s.BodyTimeout + time.Duration(grant)*time.Second/bodyRate))
	r.Body = &boundBody{ReadCloser: http.MaxBytesReader(c.Response(), r.Body, int64(limit)), conn: conn}
}

// boundBody lifts the deadline when the body is there: it is not meant for the answer.
type boundBody struct {
	io.ReadCloser
	conn *http.ResponseController
}

func (b *boundBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var large *http.MaxBytesError
	switch {
	case err == io.EOF:
		_ = b.conn.SetReadDeadline(time.Time{})
	case err != nil && !errors.As(err, &large):
		err = fmt.Errorf("%w: %w", errBody, err)
	}
	return n, err
}

// readBody reads all of a bounded body. The caller owns it, and wipes it where it may hold a key: it was read into one
// piece of memory, of which nothing stayed behind on the way.
func readBody(c echo.Context, limit int) ([]byte, error) {
	r := c.Request()
	size := 512
	if r.ContentLength >= 0 {
		size = int(min(r.ContentLength, int64(limit))) + 1 // the byte more lets Read find the end
	}
	b := make([]byte, 0, size)
	for {
		if len(b) == cap(b) {
			grown := make([]byte, len(b), 2*cap(b))
			copy(grown, b)
			clear(b)
			b = grown
		}
		n, err := r.Body.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			clear(b)
			return nil, err
		}
	}
}
