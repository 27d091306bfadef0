package api_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/api"
	"github.com/fastport/fastport/protocol"
)

func TestErrors_HaveOneFormAndAFittingStatus(t *testing.T) {
	s := newWorld().open(t, "a", nil)
	s.call(t, "GET", "/nowhere", "").want(t, "unknown path", 404, protocol.NotFound)
	s.call(t, "GET", "/api/nowhere", "").want(t, "unknown path", 404, protocol.NotFound)
	s.post(t, "/api/nowhere", `{}`).want(t, "unknown path", 404, protocol.NotFound)
	for _, path := range []string{"/api/createSession", "/api/publish", "/api/admin/login"} {
		a := s.call(t, "GET", path, "")
		a.want(t, "GET "+path, 405, protocol.BadRequest)
		if !strings.Contains(a.Header.Get("Allow"), "POST") {
			t.Errorf("GET %s: Allow = %q", path, a.Header.Get("Allow"))
		}
	}
	s.call(t, "POST", "/api/admin/stats", "").want(t, "POST stats", 405, protocol.BadRequest)
	const form = "Content-Type: application/x-www-form-urlencoded"
	s.post(t, "/api/createSession", `sessionName=s`, form).want(t, "a form", 415, protocol.BadRequest)
	s.post(t, "/api/admin/login", `{"username":"admin"}`, "Content-Type: text/plain").want(t, "plain text", 415, protocol.BadRequest)
	s.post(t, "/api/createSession", `{"sessionName":"s","password":"p"}`, "Content-Type: application/json; charset=utf-8").want(t, "with a charset", 200, "")
	for _, body := range []string{`{`, `[]`, `7`, `{"sessionName":"s","sessionName":"t","password":"p"}`, "\xff", ` `} {
		s.post(t, "/api/createSession", body).want(t, body, 400, protocol.BadRequest)
	}
	s.call(t, "POST", "/api/createSession", "").want(t, "no body", 400, protocol.BadRequest)
	for _, header := range []string{"X-Content-Type-Options: nosniff", "Cache-Control: no-store"} {
		name, value, _ := strings.Cut(header, ": ")
		if got := s.call(t, "GET", "/nowhere", "").Header.Get(name); got != value {
			t.Errorf("%s = %q, want %q", name, got, value)
		}
	}
}

func TestErrors_PanicIsA500ThatTellsNothing(t *testing.T) {
	s := newWorld().open(t, "a", nil)
	s.create(t, "s")
	s.engine.hurt = true
	a := s.post(t, "/api/publish", `{"topic":"t","data":""}`, "Authorization: Basic czpw")
	a.want(t, "a panic", 500, protocol.Internal)
	if strings.Contains(a.text, "secret") || strings.Contains(a.text, "goroutine") {
		t.Errorf("answer = %s", a.text)
	}
	if !strings.Contains(s.logs.String(), "secret of the engine") {
		t.Error("the cause was not logged")
	}
}

func TestRateLimit_CountsAnAddressOnAllNodesAndSparesOperatorsAndPublishes(t *testing.T) {
	w := newWorld()
	limit := func(c *api.Config, _ *admin.Config) { c.RateLimit = 6 }
	a, b := w.open(t, "a", limit), w.open(t, "b", limit)
	a.create(t, "s")           // 1
	operator := b.login(t)     // 2
	for i, s := range []*site{ // 3 to 6
		a, b, a, b,
	} {
		res := s.post(t, "/api/dropSession", `{}`)
		res.want(t, "within", 401, protocol.Unauthorized)
		if got, want := res.Header.Get("RateLimit-Remaining"), []string{"3", "2", "1", "0"}[i]; got != want {
			t.Errorf("RateLimit-Remaining = %q, want %q", got, want)
		}
		if res.Header.Get("RateLimit-Limit") != "6" || res.Header.Get("RateLimit-Reset") == "" {
			t.Errorf("headers = %v", res.Header)
		}
	}
	for _, path := range []string{"/api/createSession", "/api/admin/login", "/api/nowhere"} {
		res := b.post(t, path, `{}`)
		res.want(t, "beyond", 429, protocol.RateLimited)
		if n := res.Header.Get("Retry-After"); n == "" || n == "0" || n == "1" {
			t.Errorf("Retry-After = %q, want what is left of the window", n)
		}
	}
	b.call(t, "GET", "/api/admin/stats", "", operator).want(t, "the operator", 200, "")
	b.post(t, "/api/publish", `{"topic":"t","data":""}`, "Authorization: Basic czpw").want(t, "publish", 200, "")
	if res := b.call(t, "GET", "/healthz", ""); res.StatusCode != 200 || res.Header.Get("RateLimit-Limit") != "" {
		t.Errorf("health is limited: %d %v", res.StatusCode, res.Header)
	}
}

func TestRateLimit_CountsTheAddressItIsGiven(t *testing.T) {
	s := newWorld().open(t, "a", func(c *api.Config, _ *admin.Config) {
		c.RateLimit = 1
		c.ClientAddr = func(r *http.Request) netip.Addr { return netip.MustParseAddr(r.Header.Get("X-Test-Addr")) }
	})
	s.post(t, "/api/dropSession", `{}`, "X-Test-Addr: 2001:db8::1").want(t, "first", 401, protocol.Unauthorized)
	s.post(t, "/api/dropSession", `{}`, "X-Test-Addr: 2001:db8::2").want(t, "same /64", 429, protocol.RateLimited)
	s.post(t, "/api/dropSession", `{}`, "X-Test-Addr: 192.0.2.1").want(t, "another", 401, protocol.Unauthorized)
}

func TestRateLimit_OffAndWithoutCountersNobodyIsRefused(t *testing.T) {
	w := newWorld()
	off := w.open(t, "a", func(c *api.Config, _ *admin.Config) { c.RateLimit = 0 })
	closed := w.bus.Node("closed")
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	blind := w.open(t, "b", func(c *api.Config, _ *admin.Config) { c.RateLimit, c.Counters = 1, closed })
	for range 3 {
		off.post(t, "/api/dropSession", `{}`).want(t, "off", 401, protocol.Unauthorized)
		blind.post(t, "/api/dropSession", `{}`).want(t, "without counters", 401, protocol.Unauthorized)
	}
}

func TestCORS_LetsListedOriginsInAndNoOthers(t *testing.T) {
	w := newWorld()
	open := w.open(t, "a", nil)
	listed := w.open(t, "b", func(c *api.Config, _ *admin.Config) { c.CORSOrigins = []string{"https://app.example"} })
	const app, evil = "Origin: https://app.example", "Origin: https://evil.example"
	preflight := func(s *site, origin string) answer {
		return s.call(t, "OPTIONS", "/api/createSession", "", origin, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type")
	}
	for what, test := range map[string]struct {
		a      answer
		status int
		allow  string
	}{
		"any, preflight":         {preflight(open, evil), 204, "*"},
		"any, call":              {open.post(t, "/api/dropSession", `{}`, evil), 401, "*"},
		"listed, preflight":      {preflight(listed, app), 204, "https://app.example"},
		"listed, call":           {listed.post(t, "/api/dropSession", `{}`, app), 401, "https://app.example"},
		"unlisted, preflight":    {preflight(listed, evil), 403, ""},
		"unlisted, call":         {listed.post(t, "/api/dropSession", `{}`, evil), 403, ""},
		"null":                   {listed.post(t, "/api/dropSession", `{}`, "Origin: null"), 403, ""},
		"this host's own":        {listed.post(t, "/api/dropSession", `{}`, "Origin: "+listed.URL), 401, ""},
		"no browser":             {listed.post(t, "/api/dropSession", `{}`), 401, ""},
		"the operator's API":     {listed.call(t, "GET", "/api/admin/stats", "", app), 401, ""},
		"the operator's API too": {open.call(t, "GET", "/api/admin/stats", "", app), 401, ""},
	} {
		if got := test.a.Header.Get("Access-Control-Allow-Origin"); test.a.StatusCode != test.status || got != test.allow {
			t.Errorf("%s: %d, allowed %q, want %d, %q", what, test.a.StatusCode, got, test.status, test.allow)
		}
		if test.a.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: credentials are allowed", what)
		}
	}
	if a := preflight(listed, app); !strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Content-Type") || a.Header.Get("Vary") != "Origin" {
		t.Errorf("preflight headers = %v", a.Header)
	}
}
