package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/protocol"
)

// readiness is the body of /readyz.
type readiness struct {
	Success  bool          `json:"success"`
	Code     protocol.Code `json:"code,omitempty"`
	Error    string        `json:"error,omitempty"`
	Faults   []string      `json:"faults"`
	Degraded []string      `json:"degraded"`
}

// routeHealth adds /healthz (the process answers) and /readyz (send it clients). A node is unready for its own faults
// alone: where the store is down for everyone, taking every node out of service would help nobody.
func routeHealth(e *echo.Echo, health func() Health) {
	both := []string{http.MethodGet, http.MethodHead}
	e.Match(both, "/healthz", func(c echo.Context) error {
		return c.JSON(http.StatusOK, map[string]any{"success": true})
	})
	e.Match(both, "/readyz", func(c echo.Context) error {
		h := health()
		body := readiness{Success: len(h.Faults) == 0, Faults: append([]string{}, h.Faults...), Degraded: append([]string{}, h.Degraded...)}
		if body.Success {
			return c.JSON(http.StatusOK, body)
		}
		body.Code, body.Error = protocol.Unavailable, strings.Join(h.Faults, ", ")
		return c.JSON(http.StatusServiceUnavailable, body)
	})
}
