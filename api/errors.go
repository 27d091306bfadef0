package api

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/protocol"
)

// statuses is the HTTP status of each code. What is not here is 400: the request is at fault.
var statuses = map[protocol.Code]int{
	protocol.Unauthorized:     http.StatusUnauthorized,
	protocol.SessionSuspended: http.StatusForbidden,
	protocol.SessionExpired:   http.StatusForbidden,
	protocol.QuotaExceeded:    http.StatusForbidden,
	protocol.NotFound:         http.StatusNotFound,
	protocol.Conflict:         http.StatusConflict,
	protocol.TooLarge:         http.StatusRequestEntityTooLarge,
	protocol.RateLimited:      http.StatusTooManyRequests,
	protocol.Internal:         http.StatusInternalServerError,
	protocol.Unavailable:      http.StatusServiceUnavailable,
}

// failure is the body of every error.
type failure struct {
	Success bool          `json:"success"`
	Code    protocol.Code `json:"code"`
	Error   string        `json:"error"`
}

// fail writes an error, once. A cause that a client may not see is logged here.
func (s *server) fail(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	status, refused := s.explain(err, c)
	s.Refused.Count(string(refused.Code))
	h := c.Response().Header()
	switch status {
	case http.StatusUnauthorized:
		if h.Get("WWW-Authenticate") == "" {
			h.Set("WWW-Authenticate", `Bearer realm="fastPort"`)
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", "1")
		}
	}
	if err := c.JSON(status, failure{Code: refused.Code, Error: refused.Text}); err != nil {
		s.Logger.Debug("an answer could not be written", slog.Any("cause", err))
	}
}

func (s *server) explain(err error, c echo.Context) (int, *protocol.Error) {
	var refused *protocol.Error
	var routed *echo.HTTPError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &routed) && errors.As(routed.Internal, &refused):
		return routed.Code, refused
	case errors.As(err, &refused):
		if status, ok := statuses[refused.Code]; ok {
			return status, refused
		}
		return http.StatusBadRequest, refused
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge, protocol.Errorf(protocol.TooLarge, "the body is too large")
	case errors.Is(err, errBody):
		return http.StatusBadRequest, protocol.Errorf(protocol.BadRequest, "the body did not come whole, or too slowly")
	case errors.As(err, &routed) && routed.Code == http.StatusNotFound:
		return routed.Code, protocol.Errorf(protocol.NotFound, "there is nothing at this path")
	case errors.As(err, &routed) && routed.Code == http.StatusMethodNotAllowed:
		return routed.Code, protocol.Errorf(protocol.BadRequest, "this path takes another method, see the header Allow")
	}
	s.Logger.Error("a request failed", slog.String("path", c.Path()), slog.Any("cause", err))
	return http.StatusInternalServerError, protocol.Errorf(protocol.Internal, "the server failed, its log says why")
}

// status is an error with another status than its code's.
func status(code int, err *protocol.Error) error {
	return echo.NewHTTPError(code).SetInternal(err)
}
