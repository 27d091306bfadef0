package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/api"
	"github.com/fastport/fastport/protocol"
)

func TestCreateSession_AnswersNameAndSecretKey(t *testing.T) {
	s := newWorld().open(t, "a", nil)
	a := s.post(t, "/api/createSession", `{"sessionName":"my_session","password":"secure_password","retryInterval":5000,
		"maxRetryLimit":100,"encryptionKey":"t/iDLkzYhfNEjD1vEwV3yIGHc+k3Hw8dMrCOnrQTgrw=","messageExpiryTime":3600000}`)
	a.want(t, "create", 200, "")
	if a.body["sessionName"] != "my_session" || len(a.body["secretKey"].(string)) != 64 || len(a.body) != 3 {
		t.Errorf("answer = %s", a.text)
	}
	s.post(t, "/api/createSession", `{"sessionName":"my_session","password":"other"}`).want(t, "taken", 409, protocol.Conflict)
	if strings.Contains(s.logs.String(), "secure_password") || strings.Contains(s.logs.String(), a.body["secretKey"].(string)) {
		t.Error("a secret was logged")
	}
}

func TestCreateSession_SeedsPlaceholdersAreRefusedByName(t *testing.T) {
	s := newWorld().open(t, "a", nil)
	a := s.post(t, "/api/createSession", `{"sessionName":"s","password":"p","encryptionKey":"base64_32_byte_key_here"}`)
	a.want(t, "placeholder", 400, protocol.BadRequest)
	if !strings.Contains(a.text, "encryptionKey") {
		t.Errorf("answer = %s, want it to name encryptionKey", a.text)
	}
}

func TestCreateSession_ByTheOperatorAlone(t *testing.T) {
	s := newWorld().open(t, "a", func(c *api.Config, _ *admin.Config) { c.AdminCreatesOnly = true })
	const body = `{"sessionName":"s","password":"p"}`
	s.post(t, "/api/createSession", body).want(t, "anyone", 401, protocol.Unauthorized)
	s.post(t, "/api/createSession", body, "Authorization: Bearer "+strings.Repeat("0", 64)).want(t, "a made-up token", 401, protocol.Unauthorized)
	s.post(t, "/api/createSession", body, s.login(t)).want(t, "the operator", 200, "")
}

func TestSuspendAndDrop_NeedPasswordAndSecretKeyOrTheOperator(t *testing.T) {
	w := newWorld()
	s, other := w.open(t, "a", nil), w.open(t, "b", nil)
	secret := s.create(t, "s")
	in := func() protocol.Code {
		_, err := other.catalog.Authenticate(t.Context(), "s", "p", netip.Addr{})
		if refused, ok := err.(*protocol.Error); ok {
			return refused.Code
		}
		return ""
	}
	if got := in(); got != "" {
		t.Fatalf("login: %s", got)
	}
	for what, body := range map[string]string{
		"no credentials":    `{"sessionName":"s","suspend":true}`,
		"wrong password":    `{"sessionName":"s","password":"q","secretKey":"` + secret + `","suspend":true}`,
		"wrong secretKey":   `{"sessionName":"s","password":"p","secretKey":"` + strings.Repeat("0", 64) + `","suspend":true}`,
		"unknown session":   `{"sessionName":"t","password":"p","secretKey":"` + secret + `","suspend":true}`,
		"malformed":         `{"sessionName":7,"password":{},"secretKey":[],"suspend":true}`,
		"an empty object":   `{}`,
		"a name of control": `{"sessionName":"\u0000","password":"p","secretKey":"x"}`,
	} {
		s.post(t, "/api/suspendSession", body).want(t, "suspend: "+what, 401, protocol.Unauthorized)
		s.post(t, "/api/dropSession", body).want(t, "drop: "+what, 401, protocol.Unauthorized)
	}
	owner := `{"sessionName":"s","password":"p","secretKey":"` + secret + `"`
	s.post(t, "/api/suspendSession", owner+`}`).want(t, "suspend what?", 400, protocol.BadRequest)
	s.post(t, "/api/suspendSession", owner+`,"suspend":"yes"}`).want(t, "suspend yes", 400, protocol.BadRequest)
	if got := in(); got != "" {
		t.Fatalf("login after refusals: %s", got)
	}
	s.post(t, "/api/suspendSession", owner+`,"suspend":true}`).want(t, "suspend", 200, "")
	if got := in(); got != protocol.SessionSuspended {
		t.Errorf("login while suspended, through another node: %q", got)
	}
	s.post(t, "/api/suspendSession", `{"sessionName":"s","suspend":false}`, s.login(t)).want(t, "resume by the operator", 200, "")
	if got := in(); got != "" {
		t.Errorf("login after the resume: %s", got)
	}
	s.post(t, "/api/dropSession", owner+`}`).want(t, "drop", 200, "")
	if got := in(); got != protocol.Unauthorized {
		t.Errorf("login after the drop: %q", got)
	}
	s.post(t, "/api/dropSession", `{"sessionName":"s"}`, s.login(t)).want(t, "drop again", 404, protocol.NotFound)
	s.post(t, "/api/dropSession", `{"sessionName":""}`, s.login(t)).want(t, "drop nothing", 400, protocol.BadRequest)
}

func TestHealth_UnreadyForOnesOwnFaultsAlone(t *testing.T) {
	var mu sync.Mutex
	var health api.Health
	set := func(h api.Health) { mu.Lock(); health = h; mu.Unlock() }
	read := func() api.Health { mu.Lock(); defer mu.Unlock(); return health }
	w := newWorld()
	public := w.open(t, "a", func(c *api.Config, _ *admin.Config) { c.Health = read })
	private := w.openWith(t, "b", func(c *api.Config, _ *admin.Config) { c.NoHealth = true },
		func(http.Handler) *httptest.Server { return httptest.NewServer(api.HealthHandler(read)) })
	for _, s := range []*site{public, private} {
		set(api.Health{})
		s.call(t, "GET", "/healthz", "").want(t, "healthz", 200, "")
		s.call(t, "GET", "/readyz", "").want(t, "readyz", 200, "")
		set(api.Health{Degraded: []string{"store"}})
		a := s.call(t, "GET", "/readyz", "")
		a.want(t, "degraded", 200, "")
		if !strings.Contains(a.text, `"degraded":["store"]`) {
			t.Errorf("body = %s, want it to name the store", a.text)
		}
		set(api.Health{Faults: []string{"draining"}, Degraded: []string{"store"}})
		a = s.call(t, "GET", "/readyz", "")
		a.want(t, "draining", 503, protocol.Unavailable)
		if a.body["error"] != "draining" || !strings.Contains(a.text, `"faults":["draining"],"degraded":["store"]`) {
			t.Errorf("body = %s, want it to say why", a.text)
		}
		s.call(t, "GET", "/healthz", "").want(t, "healthz while draining", 200, "")
		if a := s.call(t, "HEAD", "/readyz", ""); a.StatusCode != 503 {
			t.Errorf("HEAD /readyz = %d", a.StatusCode)
		}
	}
	hidden := w.open(t, "c", func(c *api.Config, _ *admin.Config) { c.NoHealth = true })
	hidden.call(t, "GET", "/readyz", "").want(t, "elsewhere", 404, protocol.NotFound)
}

func TestRoot_PointsAtTheDocsAndThePortal(t *testing.T) {
	w := newWorld()
	with := w.open(t, "a", func(_ *api.Config, c *admin.Config) { c.Portal = true }).call(t, "GET", "/", "")
	without := w.open(t, "b", nil).call(t, "GET", "/", "")
	if with.StatusCode != 200 || !strings.Contains(with.text, `href="/admin/"`) || !strings.Contains(with.text, "/docs") {
		t.Errorf("page = %d %s", with.StatusCode, with.text)
	}
	if strings.Contains(without.text, "/admin") || !strings.Contains(without.text, "/docs") {
		t.Errorf("page without a portal = %s", without.text)
	}
	if !strings.Contains(with.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("Content-Security-Policy = %q", with.Header.Get("Content-Security-Policy"))
	}
}

func TestBody_ThatComesTooSlowlyIsRefused(t *testing.T) {
	s := newWorld().open(t, "a", func(c *api.Config, _ *admin.Config) { c.BodyTimeout = 50 * time.Millisecond })
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /api/createSession HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusBadRequest || !strings.Contains(string(text), "too slowly") {
		t.Errorf("answer = %d %s, want 400", res.StatusCode, text)
	}
}
