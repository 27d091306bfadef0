package js_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"testing"

	"github.com/fastport/fastport/clients/js"
)

// get asks for a module, with pairs of header names and values.
func get(t *testing.T, at string, header ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, at, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	js.Handler("/sdk/").ServeHTTP(w, r)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), string(body)
}

var imported = regexp.MustCompile(`(?:from|import)\s*\(?\s*'(\.[^']+)'`)

// TestHandler_ServesEveryModuleThatAnotherImports: a browser follows the imports from the entry on, and finds each as JavaScript.
func TestHandler_ServesEveryModuleThatAnotherImports(t *testing.T) {
	seen := map[string]bool{}
	var visit func(at string)
	visit = func(at string) {
		if seen[at] {
			return
		}
		seen[at] = true
		r, body := get(t, at)
		if r.StatusCode != http.StatusOK || r.Header.Get("Content-Type") != "text/javascript; charset=utf-8" {
			t.Errorf("%s: %s of type %q", at, r.Status, r.Header.Get("Content-Type"))
			return
		}
		for _, m := range imported.FindAllStringSubmatch(body, -1) {
			visit(path.Join(path.Dir(at), m[1]))
		}
	}
	visit("/sdk/fastport.js")
	if len(seen) < 20 {
		t.Errorf("only %d modules were found: the walk is broken", len(seen))
	}
}

func TestHandler_TellsABrowserWhetherItsCopyIsStillTheSame(t *testing.T) {
	first, _ := get(t, "/sdk/fastport.js")
	etag := first.Header.Get("ETag")
	if etag == "" || first.Header.Get("Cache-Control") != "no-cache" {
		t.Fatalf("ETag %q, Cache-Control %q", etag, first.Header.Get("Cache-Control"))
	}
	if again, body := get(t, "/sdk/fastport.js", "If-None-Match", etag); again.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("with the same ETag: %s, %d bytes", again.Status, len(body))
	}
	if other, _ := get(t, "/sdk/fastport.js", "If-None-Match", `"another"`); other.StatusCode != http.StatusOK {
		t.Errorf("with another ETag: %s", other.Status)
	}
	if other, _ := get(t, "/sdk/src/client.js"); other.Header.Get("ETag") == etag {
		t.Error("two modules have one ETag")
	}
}

func TestHandler_LetsPagesOfAnyOriginIn(t *testing.T) {
	r, _ := get(t, "/sdk/fastport.js", "Origin", "https://example.com")
	if got := r.Header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("Access-Control-Allow-Origin = %q, want *", got)
	}
}

func TestHandler_ServesNothingElse(t *testing.T) {
	for _, at := range []string{"/sdk/", "/sdk/package.json", "/sdk/embed.go", "/sdk/src/", "/sdk/src/../package.json", "/sdk/test/server.js", "/sdk/node_modules/ws/index.js"} {
		if r, _ := get(t, at); r.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", at, r.Status)
		}
	}
}
