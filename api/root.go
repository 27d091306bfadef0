package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/admin"
)

const docs = "https://github.com/fastport/fastport/tree/main/docs"

// root is the page for whoever opens the port in a browser.
func (s *server) root(c echo.Context) error {
	portal := ""
	if s.Admin.HasPortal() {
		portal = `<li><a href="` + admin.PortalPath + `/">Operator's portal</a></li>`
	}
	c.Response().Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	return c.HTML(http.StatusOK, `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>fastPort</title></head><body>`+
		`<h1>fastPort</h1><p>A message broker runs here. Clients connect to this address by WebSocket.</p>`+
		`<ul><li><a href="`+docs+`">Documentation</a></li>`+portal+`</ul></body></html>`)
}
