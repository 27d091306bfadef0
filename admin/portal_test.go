package admin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/fastport/fastport/admin"
)

func fetch(n http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	return w
}

func TestPortal_FilesHaveAStrictPolicyAndNothingInline(t *testing.T) {
	n := newCluster().node(t, "a", func(c *admin.Config) { c.Portal = true })
	if w := fetch(n, "GET", "/admin"); w.Code != 308 || w.Header().Get("Location") != "/admin/" {
		t.Errorf("/admin: %d to %q", w.Code, w.Header().Get("Location"))
	}
	for path, kind := range map[string]string{
		"/admin/": "text/html", "/admin/app.js": "text/javascript", "/admin/style.css": "text/css", "/admin/icon.svg": "image/svg+xml", "/admin/pages/overview.js": "text/javascript",
	} {
		w := fetch(n, "GET", path)
		h := w.Header()
		policy := h.Get("Content-Security-Policy")
		if w.Code != 200 || !strings.HasPrefix(h.Get("Content-Type"), kind) {
			t.Errorf("%s: %d %s", path, w.Code, h.Get("Content-Type"))
		}
		for _, rule := range []string{"default-src 'none'", "script-src 'self';", "style-src 'self';", "frame-ancestors 'none'", "base-uri 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, rule) {
				t.Errorf("%s: policy %q lacks %s", path, policy, rule)
			}
		}
		if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: headers %v", path, h)
		}
		if again := fetch(n, "GET", path, "If-None-Match: "+h.Get("ETag")); again.Code != 304 || again.Body.Len() != 0 {
			t.Errorf("%s: unchanged it is %d with %d bytes, want 304 and none", path, again.Code, again.Body.Len())
		}
		text := w.Body.String()
		for _, bad := range []string{"<style", "style=\"", "onclick=\"", "innerHTML", "insertAdjacentHTML", "document.write", "eval("} {
			if strings.Contains(text, bad) {
				t.Errorf("%s holds %s", path, bad)
			}
		}
	}
	page := fetch(n, "GET", "/admin/").Body.String()
	if strings.Contains(strings.ReplaceAll(page, "></script>", ""), "<script>") || strings.Contains(page, "://") {
		t.Error("the page has inline scripts or other hosts in it")
	}
}

func TestPortal_ServesItsFilesAlone(t *testing.T) {
	n := newCluster().node(t, "a", func(c *admin.Config) { c.Portal = true })
	for _, path := range []string{"/admin/none.js", "/admin/../admin.go", "/admin/%2e%2e/admin.go", "/admin/pages", "/admin/pages/", "/admin/web/app.js", "/adminx"} {
		if w := fetch(n, "GET", path); w.Code != 404 {
			t.Errorf("%s: %d, want 404", path, w.Code)
		}
	}
	if w := fetch(n, "POST", "/admin/"); w.Code != 405 {
		t.Errorf("POST: %d, want 405", w.Code)
	}
}

func TestPortal_IsOffWithoutThePasswordOrTheSetting(t *testing.T) {
	c := newCluster()
	for name, n := range map[string]node{
		"no password": c.node(t, "a", func(c *admin.Config) { c.Pass, c.Portal = "", true }),
		"not wanted":  c.node(t, "b", nil),
	} {
		for _, path := range []string{"/admin", "/admin/", "/admin/app.js"} {
			if w := fetch(n, "GET", path); w.Code != 404 {
				t.Errorf("%s: %s is %d, want 404", name, path, w.Code)
			}
		}
		if page := fetch(n, "GET", "/").Body.String(); strings.Contains(page, "/admin") {
			t.Errorf("%s: the page at the root points there", name)
		}
	}
}
