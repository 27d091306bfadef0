package admin

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/protocol"
)

// PortalPath is where the portal is served.
const PortalPath = "/admin"

// web is the portal as browsers get it: there is no build step.
//
//go:embed web
var web embed.FS

// portalPolicy lets the portal's own files in, and nothing else: no inline script or style, no other host, no frame, and
// no text that becomes HTML.
const portalPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'none'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// asset is one file of the portal.
type asset struct {
	body []byte
	kind string
	tag  string
}

// HasPortal reports whether the portal is served.
func (a *Admin) HasPortal() bool { return a.Enabled() && a.cfg.Portal }

// RegisterPortal adds the portal's files to the group of PortalPath. They hold nothing secret and need no login: what
// they show comes from the API.
func (a *Admin) RegisterPortal(g *echo.Group) {
	if !a.HasPortal() {
		return
	}
	files := assets()
	both := []string{http.MethodGet, http.MethodHead}
	g.Match(both, "", func(c echo.Context) error { return c.Redirect(http.StatusPermanentRedirect, PortalPath+"/") })
	g.Match(both, "/*", func(c echo.Context) error {
		name := c.Param("*")
		if name == "" {
			name = "index.html"
		}
		f, ok := files[name]
		if !ok {
			return protocol.Errorf(protocol.NotFound, "there is nothing at this path")
		}
		return f.serve(c)
	})
}

func (f *asset) serve(c echo.Context) error {
	h := c.Response().Header()
	h.Set("Content-Security-Policy", portalPolicy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-cache") // ask each time: the next version of the broker has other files
	h.Set("ETag", f.tag)
	if c.Request().Header.Get("If-None-Match") == f.tag {
		return c.NoContent(http.StatusNotModified)
	}
	return c.Blob(http.StatusOK, f.kind, f.body)
}

// assets reads the embedded files, by their path below web.
func assets() map[string]*asset {
	files := map[string]*asset{}
	// The files are in the program: an error here is one of the build.
	_ = fs.WalkDir(web, "web", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := web.ReadFile(name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		files[strings.TrimPrefix(name, "web/")] = &asset{body, kindOf(name), `"` + hex.EncodeToString(sum[:12]) + `"`}
		return nil
	})
	return files
}

// kindOf is a file's media type, whatever the system thinks of its ending.
func kindOf(name string) string {
	switch ext := path.Ext(name); ext {
	case ".html", ".css":
		return "text/" + ext[1:] + "; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return mime.TypeByExtension(ext)
	}
}
