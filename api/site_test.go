package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
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
