package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// try runs a broker that is not expected to start, and returns its exit code and all it said.
func try(t *testing.T, env ...string) (code int, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "serve", "--port", "0", "--db-type", "memory")
	cmd.Dir, cmd.Env = t.TempDir(), append(cleanEnv(), env...)
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		t.Fatalf("%q: the broker started:\n%s", env, out)
	}
	if err == nil {
		return 0, string(out)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// TestOperator_PasswordRules: none turns the admin API off, a short one refuses to start, an example of the documents
// starts with a loud warning. None is ever printed.
func TestOperator_PasswordRules(t *testing.T) {
	if code, said := try(t, "ADMIN_PASS=elevenchars"); code == 0 || !strings.Contains(said, "ADMIN_PASS is shorter than 12 characters") || strings.Contains(said, "elevenchars") {
		t.Errorf("a short one: exit code %d, %s", code, said)
	}
	off := serve(t, "DB_TYPE=memory", "ADMIN_PASS=")
	for _, path := range []string{"/login", "/logout", "/stats", "/sessions"} {
		off.call(t, "POST", "/api/admin"+path, `{"username":"admin","password":""}`).want(t, "off: POST "+path, 404, "not_found")
		off.call(t, "GET", "/api/admin"+path, "").want(t, "off: GET "+path, 404, "not_found")
	}
	off.createSession("s", "")
	off.call(t, "POST", "/api/dropSession", `{"sessionName":"s"}`, "Authorization: Bearer "+strings.Repeat("0", 64)).want(t, "off: a token", 401, "unauthorized")
	for _, example := range []string{"admin_password", "your_secure_password_here"} {
		s := serve(t, "DB_TYPE=memory", "ADMIN_PASS="+example)
		if log := s.log.String(); !strings.Contains(log, "ADMIN_PASS IS AN EXAMPLE") || strings.Contains(log, example) {
			t.Errorf("%s: log:\n%s", example, log)
		}
		s.call(t, "POST", "/api/admin/login", fmt.Sprintf(`{"username":"admin","password":%q}`, example)).want(t, example, 200, "")
	}
}

// TestOperator_CookieAndLock looks at a real server as a browser does: the cookie's attributes, with TLS in front and
// without; another site's posts and forms refused; five failures, and the address is locked out.
func TestOperator_CookieAndLock(t *testing.T) {
	const right = `{"username":"root","password":"a long sentence"}`
	s := serve(t, "DB_TYPE=memory", "ADMIN_USER=root", "ADMIN_PASS=a long sentence", "TRUSTED_PROXIES=127.0.0.1/32")
	login := func(body string, headers ...string) answer {
		return s.call(t, "POST", "/api/admin/login", body, headers...)
	}
	for proto, name := range map[string]string{"http": "fastport_admin", "https": "__Host-fastport_admin"} {
		res := login(right, "X-Forwarded-Proto: "+proto)
		res.want(t, "login", 200, "")
		cookie, err := http.ParseSetCookie(res.header.Get("Set-Cookie"))
		if err != nil || cookie.Name != name || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode ||
			cookie.Secure != (proto == "https") || cookie.Path != "/" || cookie.Domain != "" || len(cookie.Value) < 32 {
			t.Errorf("over %s: cookie %v, %v", proto, cookie, err)
			continue
		}
		own := "Cookie: " + name + "=" + cookie.Value
		over := "X-Forwarded-Proto: " + proto
		s.call(t, "GET", "/api/admin/stats", "", own, over).want(t, "its own page", 200, "")
		s.call(t, "GET", "/api/admin/stats", "", own, over, "Sec-Fetch-Site: same-origin").want(t, "its own script", 200, "")
		s.call(t, "POST", "/api/admin/logout", "", own, over, "Sec-Fetch-Site: cross-site").want(t, "another site's logout", 403, "unauthorized")
		s.call(t, "POST", "/api/dropSession", `{"sessionName":"x"}`, own, over, "Origin: https://evil.example").want(t, "another site's drop", 401, "unauthorized")
		s.call(t, "POST", "/api/admin/logout", "a=b", own, over, "Content-Type: application/x-www-form-urlencoded").want(t, "a form", 415, "bad_request")
		s.call(t, "POST", "/api/admin/logout", `{"everywhere":true}`, own, over).want(t, "logout everywhere", 200, "")
		s.call(t, "GET", "/api/admin/stats", "", own, over).want(t, "after it", 401, "unauthorized")
	}
	for range 5 {
		login(`{"username":"root","password":"guess"}`, "X-Forwarded-For: 192.0.2.1").want(t, "a guess", 401, "unauthorized")
	}
	locked := login(right, "X-Forwarded-For: 192.0.2.1")
	locked.want(t, "the right one after five", 429, "rate_limited")
	if locked.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	login(right, "X-Forwarded-For: 192.0.2.1, 198.51.100.1").want(t, "from another address", 200, "")
}

// TestCredentials_MissingOrMalformedAre401InJSON, never 500, at every call that wants some.
func TestCredentials_MissingOrMalformedAre401InJSON(t *testing.T) {
	s := serve(t, "DB_TYPE=memory", "ADMIN_PASS=a long sentence", "SESSION_CREATION=admin")
	authorizations := []string{"", "Basic", "Basic ", "Basic !!!!", "Basic Og==", "Basic OjpwOg==", "Basic AAA6AAA=", "Basic //8=", "basic eDp5",
		"Bearer", "Bearer ", "Bearer " + strings.Repeat("a", 64), "Bearer " + strings.Repeat("ü", 32), "Digest a=b", "Negotiate " + strings.Repeat("A", 8000), ",", "Bearer null"}
	bodies := []string{`{}`, `{"sessionName":null,"password":null,"secretKey":null,"username":null}`, `{"sessionName":7,"password":[],"secretKey":{},"username":{}}`,
		`{"sessionName":"\u0000","password":"\u0000","secretKey":"\u0000","username":"\u0000"}`, `{"sessionName":"a:b","password":"` + strings.Repeat("x", 5000) + `","secretKey":"x","username":"x"}`}
	calls := 0
	for _, auth := range authorizations {
		for i, body := range bodies {
			for _, path := range []string{"/api/publish", "/api/createSession", "/api/suspendSession", "/api/dropSession", "/api/admin/logout", "/api/admin/stats", "/api/admin/sessions"} {
				method, body := "POST", body
				if path == "/api/admin/stats" || path == "/api/admin/sessions" {
					method, body = "GET", ""
				}
				if i > 0 && body == "" {
					continue
				}
				calls++
				s.call(t, method, path, body, "Authorization: "+auth).want(t, fmt.Sprintf("%s %q %.40s", path, auth, body), 401, "unauthorized")
			}
		}
	}
	for i, body := range bodies { // five failures lock an account, so each from its own
		s.call(t, "POST", "/api/admin/login", body).want(t, fmt.Sprintf("login %.40s", bodies[i]), 401, "unauthorized")
	}
	if calls < 100 {
		t.Fatalf("%d calls were made: the loop is broken", calls)
	}
	if log := s.log.String(); strings.Contains(log, `"ERROR"`) || strings.Contains(log, "goroutine ") {
		t.Errorf("the log holds a failure:\n%s", log)
	}
}
