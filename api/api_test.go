package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
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
	busmemory "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"
)

const adminPass = "correct horse battery"

// engine is a node's engine, with faults to switch on.
type engine struct {
	*session.Node
	mu   sync.Mutex // guards the following
	got  []session.Publication
	fail error
	hurt bool
}

func (e *engine) Publish(ctx context.Context, s storage.Session, m session.Publication) (session.Published, error) {
	e.mu.Lock()
	e.got = append(e.got, m)
	hurt, fail := e.hurt, e.fail
	e.mu.Unlock()
	if hurt {
		panic("secret of the engine")
	}
	if fail != nil {
		return session.Published{}, fail
	}
	return e.Node.Publish(ctx, s, m)
}

// site is one node's HTTP over loopback.
type site struct {
	*httptest.Server
	store   storage.Store
	bus     *busmemory.Bus
	catalog *session.Catalog
	engine  *engine
	logs    *logBuffer
}

type logBuffer struct {
	mu sync.Mutex // guards the following
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// world is what several sites share.
type world struct {
	store storage.Store
	bus   *busmemory.Bus
}

func newWorld() world {
	return world{memory.Open(storage.Options{}, time.Now), busmemory.NewBus()}
}

func (w world) open(t *testing.T, id string, edit func(*api.Config, *admin.Config)) *site {
	t.Helper()
	return w.openWith(t, id, edit, httptest.NewServer)
}

func (w world) openWith(t *testing.T, id string, edit func(*api.Config, *admin.Config), serve func(http.Handler) *httptest.Server) *site {
	t.Helper()
	node := w.bus.Node(id)
	logs := &logBuffer{}
	logger := slog.New(slog.NewJSONHandler(logs, nil))
	sealer, err := session.NewSealer(bytes.Repeat([]byte{1}, 32), nil)
	if err != nil {
		t.Fatal(err)
	}
	catalog := session.NewCatalog(session.CatalogConfig{Store: w.store, Control: node, Sealer: sealer, Logger: logger})
	running, err := session.New(session.Config{NodeID: id, Store: w.store, Backplane: node, Catalog: catalog, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { _ = running.Run(ctx) })
	adminConfig := admin.Config{
		User: "admin", Pass: adminPass, Store: w.store, Catalog: catalog, Backplane: node, Logger: logger,
		NodeID: id, Started: time.Now(), Figures: func() admin.Figures { return admin.ReadFigures(7) },
	}
	e := &engine{Node: running}
	config := api.Config{Catalog: catalog, Publisher: e, Counters: node, Logger: logger, RateLimit: 1000}
	if edit != nil {
		edit(&config, &adminConfig)
	}
	config.Admin = admin.New(adminConfig)
	s := &site{serve(api.New(config)), w.store, w.bus, catalog, e, logs}
	t.Cleanup(func() {
		s.Close()
		stop()
		run.Wait()
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// answer is a response with its body read.
type answer struct {
	*http.Response
	text string
	body map[string]any
}

func (a answer) code() string { code, _ := a.body["code"].(string); return code }

// call sends a request; headers are "Name: value".
func (s *site) call(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	res, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{Response: res, text: string(text)}
	if method != "HEAD" && strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(text, &a.body); err != nil {
			t.Fatalf("%s %s: not JSON: %q", method, path, text)
		}
	}
	return a
}

func (s *site) post(t *testing.T, path, body string, headers ...string) answer {
	t.Helper()
	return s.call(t, "POST", path, body, headers...)
}

// want checks a refusal's status, code and form.
func (a answer) want(t *testing.T, what string, status int, code protocol.Code) {
	t.Helper()
	if a.StatusCode != status || a.code() != string(code) {
		t.Errorf("%s: %d %s, want %d %s", what, a.StatusCode, a.text, status, code)
		return
	}
	if status == http.StatusOK {
		if a.body["success"] != true {
			t.Errorf("%s: %s, want success:true", what, a.text)
		}
		return
	}
	if text, _ := a.body["error"].(string); a.body["success"] != false || text == "" {
		t.Errorf("%s: %s, want success:false with an error's text", what, a.text)
	}
	if status == http.StatusUnauthorized && a.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("%s: 401 without WWW-Authenticate", what)
	}
}

func (s *site) create(t *testing.T, name string) (secretKey string) {
	t.Helper()
	a := s.post(t, "/api/createSession", `{"sessionName":"`+name+`","password":"p"}`)
	a.want(t, "create "+name, 200, "")
	secretKey, _ = a.body["secretKey"].(string)
	return secretKey
}

func (s *site) login(t *testing.T) (bearer string) {
	t.Helper()
	a := s.post(t, "/api/admin/login", `{"username":"admin","password":"`+adminPass+`"}`)
	a.want(t, "login", 200, "")
	return "Authorization: Bearer " + a.body["token"].(string)
}

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

func TestPublish_TakesBasicCredentialsAndAnswersTheAck(t *testing.T) {
	s := newWorld().open(t, "a", nil)
	s.create(t, "s")
	basic := func(user, pass string) string {
		r, _ := http.NewRequest("GET", "/", nil)
		r.SetBasicAuth(user, pass)
		return "Authorization: " + r.Header.Get("Authorization")
	}
	made, err := s.catalog.Lookup(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	topic := storage.Topic{Session: made.ID, Name: "t/ü"}
	if _, err := s.store.Subscribe(t.Context(), "c:reader", topic, true); err != nil {
		t.Fatal(err)
	}
	a := s.post(t, "/api/publish", `{"topic":"t/ü","data":"x\ny","messageId":"m1","timestamp":-3}`, basic("s", "p"))
	a.want(t, "publish", 200, "")
	if a.body["messageId"] != "m1" || a.body["seq"] != 1.0 || a.body["topic"] != "t/ü" {
		t.Errorf("answer = %s", a.text)
	}
	page, err := s.store.Read(t.Context(), topic, 0, 10, 1000)
	if err != nil || len(page.Messages) != 1 || string(page.Messages[0].Data) != "x\ny" || page.Messages[0].Timestamp != -3 {
		t.Errorf("stored when answered: %+v, %v", page.Messages, err)
	}
	again := s.post(t, "/api/publish", `{"topic":"t/ü","data":"x\ny","messageId":"m1","retry":true}`, basic("s", "p"))
	again.want(t, "again", 200, "")
	if again.body["seq"] != 1.0 {
		t.Errorf("a resend = %s, want seq 1 again", again.text)
	}
	s.post(t, "/api/publish", `{"topic":"t/ü","data":"x","hash":"`+strings.Repeat("0", 64)+`"}`, basic("s", "p")).want(t, "another's hash", 400, protocol.HashMismatch)
	s.post(t, "/api/publish", `{"topic":"t/ü","data":"live","qos":0}`, basic("s", "p")).want(t, "qos 0", 200, "")
	if last := s.engine.got[len(s.engine.got)-1]; !last.AtMostOnce || string(last.Data) != "live" {
		t.Errorf("qos 0 was published as %+v", last)
	}
	first := s.post(t, "/api/publish", `{"type":"publish","topic":"t","data":""}`, basic("s", "p"))
	second := s.post(t, "/api/publish", `{"topic":"t","data":""}`, basic("s", "p"))
	first.want(t, "without messageId", 200, "")
	if id, _ := first.body["messageId"].(string); id == "" || id == second.body["messageId"] {
		t.Errorf("messageIds = %v and %v, want one each", first.body["messageId"], second.body["messageId"])
	}

	for what, header := range map[string]string{
		"no credentials": "X: y", "wrong password": basic("s", "q"), "unknown session": basic("t", "p"), "no colon": "Authorization: Basic cw==",
		"not base64": "Authorization: Basic ***", "another scheme": "Authorization: Bearer abc", "nothing": "Authorization: ", "empty": basic("", ""),
	} {
		a := s.post(t, "/api/publish", `{"topic":"t","data":""}`, header)
		a.want(t, what, 401, protocol.Unauthorized)
		if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: WWW-Authenticate = %q", what, a.Header.Get("WWW-Authenticate"))
		}
	}
	for what, body := range map[string]string{
		"no topic": `{"data":""}`, "no data": `{"topic":"t"}`, "a server's topic": `{"topic":"$t","data":""}`, "another type": `{"type":"ack","topic":"t","data":""}`,
		"two topics": `{"topic":"t","topic":"u","data":""}`, "a variant": `{"Topic":"t","data":""}`, "bad messageId": `{"topic":"t","data":"","messageId":"` + strings.Repeat("x", 65) + `"}`,
	} {
		s.post(t, "/api/publish", body, basic("s", "p")).want(t, what, 400, protocol.BadRequest)
	}
	for code, status := range map[protocol.Code]int{
		protocol.Unavailable: 503, protocol.HashMismatch: 400, protocol.Expired: 400, protocol.ClockSkew: 400, protocol.RateLimited: 429,
		protocol.QuotaExceeded: 403, protocol.SessionSuspended: 403, protocol.SessionExpired: 403, protocol.TooLarge: 413,
	} {
		s.engine.fail = protocol.Errorf(code, "told")
		s.post(t, "/api/publish", `{"topic":"t","data":""}`, basic("s", "p")).want(t, string(code), status, code)
	}
	s.engine.fail = context.DeadlineExceeded
	s.post(t, "/api/publish", `{"topic":"t","data":""}`, basic("s", "p")).want(t, "out of time", 503, protocol.Unavailable)
	s.engine.fail = nil
	if err := s.catalog.Suspend(t.Context(), "s", true); err != nil {
		t.Fatal(err)
	}
	s.post(t, "/api/publish", `{"topic":"t","data":""}`, basic("s", "p")).want(t, "suspended", 403, protocol.SessionSuspended)
}

func TestPublish_BodyIsReadOnlyForWhoHasThePasswordAndBounded(t *testing.T) {
	s := newWorld().open(t, "a", func(c *api.Config, _ *admin.Config) { c.MaxPayload = 100_000 })
	s.create(t, "s")
	fits := `{"topic":"t","data":"` + strings.Repeat("x", 99_000) + `"}`
	large := `{"topic":"t","data":"` + strings.Repeat("x", 100_000) + `"}`
	right := "Authorization: Basic czpw"
	s.post(t, "/api/publish", fits, right).want(t, "fits", 200, "")
	s.post(t, "/api/publish", large, right).want(t, "too large", 413, protocol.TooLarge)
	s.post(t, "/api/publish", large, "Authorization: Basic czpx").want(t, "a stranger's", 401, protocol.Unauthorized)
	s.post(t, "/api/createSession", `{"sessionName":"x","password":"`+strings.Repeat("x", 70_000)+`"}`).want(t, "a stranger's", 413, protocol.TooLarge)
	if len(s.engine.got) != 1 {
		t.Errorf("published %d, want 1", len(s.engine.got))
	}
}

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
		if a.body["error"] != "draining" {
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
	with := w.open(t, "a", func(c *api.Config, _ *admin.Config) { c.Portal = "/admin" }).call(t, "GET", "/", "")
	without := w.open(t, "b", nil).call(t, "GET", "/", "")
	if with.StatusCode != 200 || !strings.Contains(with.text, `href="/admin"`) || !strings.Contains(with.text, "/docs") {
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
