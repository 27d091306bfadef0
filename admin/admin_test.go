package admin_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/api"
	"github.com/fastport/fastport/backplane"
	busmemory "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/metrics"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"
)

const pass = "correct horse battery"

// cluster is a store and a bus with nodes' handlers over them.
type cluster struct {
	store storage.Store
	bus   *busmemory.Bus
	logs  *bytes.Buffer
	log   *slog.Logger // one for all nodes: its handler has the lock
}

func newCluster() *cluster {
	logs := &bytes.Buffer{}
	return &cluster{memory.Open(storage.Options{}, time.Now), busmemory.NewBus(), logs, slog.New(slog.NewJSONHandler(logs, nil))}
}

// node is one node's handler, mounted as package api does it.
type node struct {
	http.Handler
	catalog   *session.Catalog
	backplane backplane.Backplane
}

func (c *cluster) node(t *testing.T, id string, edit func(*admin.Config)) node {
	t.Helper()
	end := c.bus.Node(id)
	t.Cleanup(func() { _ = end.Close() })
	catalog := session.NewCatalog(session.CatalogConfig{Store: c.store, Control: end})
	cfg := admin.Config{
		User: "root", Pass: pass, Store: c.store, Catalog: catalog, Backplane: end, Logger: c.log,
		NodeID: id, Started: time.Now(), Figures: func() admin.Figures { return admin.ReadFigures(7) },
	}
	if edit != nil {
		edit(&cfg)
	}
	return node{api.New(api.Config{Catalog: catalog, Counters: end, Admin: admin.New(cfg)}), catalog, end}
}

type answer struct {
	*httptest.ResponseRecorder
	body map[string]any
}

// call sends a request; headers are "Name: value", an address may stand for RemoteAddr.
func (n node) call(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		switch name, value, _ := strings.Cut(h, ": "); name {
		case "From":
			r.RemoteAddr = value + ":1234"
		case "TLS":
			r.TLS = &tls.ConnectionState{}
		default:
			r.Header.Add(name, value)
		}
	}
	a := answer{ResponseRecorder: httptest.NewRecorder()}
	n.ServeHTTP(a, r)
	if err := json.Unmarshal(a.Body.Bytes(), &a.body); err != nil {
		t.Fatalf("%s %s: not JSON: %q", method, path, a.Body)
	}
	return a
}

func (a answer) want(t *testing.T, what string, status int, code protocol.Code) {
	t.Helper()
	got, _ := a.body["code"].(string)
	if a.Code != status || got != string(code) || a.body["success"] != (status == 200) {
		t.Errorf("%s: %d %s, want %d %s", what, a.Code, a.Body, status, code)
	}
}

func credentials(user, pass string) string {
	return fmt.Sprintf(`{"username":%q,"password":%q}`, user, pass)
}

// login returns the header that carries a new token.
func (n node) login(t *testing.T, headers ...string) (bearer string) {
	t.Helper()
	a := n.call(t, "POST", "/api/admin/login", credentials("root", pass), headers...)
	a.want(t, "login", 200, "")
	token, _ := a.body["token"].(string)
	if len(token) != 64 {
		t.Fatalf("token = %q, want 64 hex digits", token)
	}
	return "Authorization: Bearer " + token
}

func (n node) in(t *testing.T, headers ...string) bool {
	t.Helper()
	a := n.call(t, "GET", "/api/admin/stats", "", headers...)
	if a.Code != 200 {
		a.want(t, "not logged in", 401, protocol.Unauthorized)
	}
	return a.Code == 200
}

func TestAdmin_OffWithoutAPassword(t *testing.T) {
	n := newCluster().node(t, "a", func(c *admin.Config) { c.Pass = "" })
	for _, path := range []string{"/login", "/logout", "/stats", "/sessions"} {
		for _, method := range []string{"GET", "POST"} {
			n.call(t, method, "/api/admin"+path, "").want(t, method+" "+path, 404, protocol.NotFound)
		}
	}
	n.call(t, "POST", "/api/admin/login", credentials("root", "")).want(t, "the empty password", 404, protocol.NotFound)
}

func TestStats_AreTheClustersAndEachNodes(t *testing.T) {
	c := newCluster()
	a := c.node(t, "a", func(cfg *admin.Config) { cfg.Started = time.Now().Add(-time.Hour) })
	b := c.node(t, "b", nil)
	for _, name := range []string{"one", "two"} {
		if _, err := a.catalog.Create(t.Context(), session.NewSpec(name, "p")); err != nil {
			t.Fatal(err)
		}
	}
	figures := admin.Figures{
		Connections: 5, HeapUsed: 1000, HeapTotal: 2000, Publishes: 12.5, Deliveries: 50, AckP50: 1.5, AckP99: 9, Pending: 3, OutboxBytes: 400,
		Faults: []string{"backplane"},
	}.Encode()
	if err := b.backplane.Heartbeat(t.Context(), backplane.Node{ID: "b", Started: time.Now(), Version: "v1.2.3", Address: "192.0.2.7:4000", Figures: figures}); err != nil {
		t.Fatal(err)
	}
	// Its own heartbeat is older than what it knows itself.
	if err := a.backplane.Heartbeat(t.Context(), backplane.Node{ID: "a", Started: time.Now(), Figures: figures}); err != nil {
		t.Fatal(err)
	}
	answer := a.call(t, "GET", "/api/admin/stats", "", a.login(t))
	answer.want(t, "stats", 200, "")
	var stats admin.Stats
	if err := json.Unmarshal(answer.Body.Bytes(), &stats); err != nil {
		t.Fatal(err)
	}
	if stats.ActiveSessions != 2 || stats.TotalConnections != 12 || stats.Uptime < 3600 || stats.Uptime > 3660 {
		t.Errorf("stats = %+v", stats)
	}
	if len(stats.Nodes) != 2 || stats.Nodes[0].ID != "a" || stats.Nodes[0].Connections != 7 || stats.Nodes[1].Connections != 5 {
		t.Errorf("nodes = %+v", stats.Nodes)
	}
	if stats.Publishes != 12.5 || stats.Deliveries != 50 || stats.AckP50 != 1.5 || stats.AckP99 != 9 || stats.Pending != 3 || stats.OutboxBytes != 400 || stats.ReadyNodes != 1 {
		t.Errorf("the cluster's = %+v", stats)
	}
	if n := stats.Nodes[1]; n.Version != "v1.2.3" || n.Address != "192.0.2.7:4000" || n.Ready || n.Publishes != 12.5 || len(n.Faults) != 1 || n.Faults[0] != "backplane" {
		t.Errorf("node b = %+v", n)
	}
	used := stats.Nodes[0].HeapUsed
	if used < 100_000 || stats.Nodes[0].HeapTotal < used || stats.MemoryUsage.HeapUsed != used+1000 {
		t.Errorf("memory = %+v of %+v", stats.MemoryUsage, stats.Nodes)
	}
}

// Nodes of two versions stand side by side during every update.
func TestStats_TakeWhatTheyKnowOfAnotherVersionsFigures(t *testing.T) {
	c := newCluster()
	a := c.node(t, "a", nil)
	for id, figures := range map[string]string{
		"newer":     `{"connections":3,"pending":2,"deliveriesPerSecond":1.5,"colour":{"of":["magic"]},"faults":["a new one"]}`,
		"older":     `{"connections":4,"heapUsed":10}`,
		"silent":    ``,
		"nonsense":  `[7]`,
		"mistyped":  `{"connections":5,"pending":"many"}`,
		"boundless": `{"connections":6,"faults":["` + strings.Repeat("x", admin.MaxFigures) + `"]}`,
	} {
		if err := c.bus.Node(id).Heartbeat(t.Context(), backplane.Node{ID: id, Started: time.Now(), Figures: []byte(figures)}); err != nil {
			t.Fatal(err)
		}
	}
	answer := a.call(t, "GET", "/api/admin/stats", "", a.login(t))
	answer.want(t, "stats", 200, "")
	var stats admin.Stats
	if err := json.Unmarshal(answer.Body.Bytes(), &stats); err != nil {
		t.Fatal(err)
	}
	if len(stats.Nodes) != 7 || stats.TotalConnections != 7+3+4 || stats.Pending != 2 || stats.Deliveries != 1.5 || stats.ReadyNodes != 6 {
		t.Errorf("stats = %+v", stats)
	}
	for _, n := range stats.Nodes {
		if n.Faults == nil || n.Degraded == nil {
			t.Errorf("%s: faults = %v, degraded = %v, want lists", n.ID, n.Faults, n.Degraded)
		}
		if n.ID == "newer" && (n.Ready || n.HeapUsed != 0) || n.ID == "older" && (!n.Ready || n.HeapUsed != 10) {
			t.Errorf("%s = %+v", n.ID, n)
		}
	}
}

func TestFigures_OfOneNodeAreBounded(t *testing.T) {
	f := admin.Figures{Connections: 1 << 62, Publishes: 1.0 / 3, Faults: []string{"draining", "disk_full", "backplane"}, Degraded: []string{"store"}}
	if text := f.Encode(); len(text) == 0 || len(text) > 512 {
		t.Errorf("%d bytes, want some and no more than 512", len(text))
	}
	f.Faults = []string{strings.Repeat("x", admin.MaxFigures)}
	if text := f.Encode(); text != nil {
		t.Errorf("%d bytes, want none", len(text))
	}
}

func TestPulse_TellsTheLast15SecondsRatesAndQuantiles(t *testing.T) {
	var p admin.Pulse
	var f admin.Figures
	p.Fill(&f)
	start, acks := time.Now(), new(metrics.Times)
	beat := func(n int) {
		s := session.Stats{Publishes: int64(30 * n), Deliveries: int64(60 * n), Redeliveries: int64(3 * n), AckTime: acks.Read()}
		p.Beat(start.Add(time.Duration(n)*3*time.Second), s)
		for range 100 {
			acks.Observe(time.Duration(n+1) * time.Millisecond) // ever slower
		}
	}
	beat(0)
	if p.Fill(&f); f.Publishes != 0 || f.AckP99 != 0 {
		t.Errorf("after one beat: %+v, want nothing", f)
	}
	for n := 1; n <= 100; n++ {
		beat(n)
	}
	p.Fill(&f)
	if f.Publishes != 10 || f.Deliveries != 21 {
		t.Errorf("publishes = %v, deliveries = %v a second, want 10 and 21", f.Publishes, f.Deliveries)
	}
	if f.AckP50 < 70 || f.AckP99 > 100 || f.AckP99 < f.AckP50 { // 96 to 100 ms: the bucket from 70 to 100
		t.Errorf("p50 = %v, p99 = %v ms, want those of the last five beats", f.AckP50, f.AckP99)
	}
}

func TestSessions_ArePagedAndHoldNoSecret(t *testing.T) {
	c := newCluster()
	n := c.node(t, "a", nil)
	var secrets []string
	for i := range 5 {
		spec := session.NewSpec(fmt.Sprint("s", i), "the password")
		if i == 1 {
			spec.SessionExpiry, spec.MessageExpiry = time.Hour, 0
		}
		made, err := n.catalog.Create(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := c.store.Session(t.Context(), made.Name)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, made.SecretKey, stored.PasswordHash, stored.ID)
	}
	if err := n.catalog.Suspend(t.Context(), "s2", true); err != nil {
		t.Fatal(err)
	}
	token := n.login(t)
	var names []string
	next := ""
	for pages := 0; ; pages++ {
		a := n.call(t, "GET", "/api/admin/sessions?limit=2&after="+next, "", token)
		a.want(t, "page", 200, "")
		for _, secret := range secrets {
			if strings.Contains(a.Body.String(), secret) {
				t.Fatalf("page holds a secret: %s", a.Body)
			}
		}
		var page struct {
			Sessions []admin.SessionInfo
			Next     *string
		}
		if err := json.Unmarshal(a.Body.Bytes(), &page); err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Sessions {
			names = append(names, s.SessionName)
			if s.Suspended != (s.SessionName == "s2") || (s.ExpiresAt != nil) != (s.SessionName == "s1") || (s.MessageExpiryTime == nil) != (s.SessionName == "s1") || s.RetryInterval != 5000 {
				t.Errorf("session = %+v", s)
			}
		}
		if page.Next == nil {
			if pages != 2 {
				t.Errorf("pages = %d, want 3", pages+1)
			}
			break
		}
		next = *page.Next
	}
	if fmt.Sprint(names) != "[s0 s1 s2 s3 s4]" {
		t.Errorf("names = %v", names)
	}
	for _, query := range []string{"limit=0", "limit=501", "limit=x", "after=a:b"} {
		n.call(t, "GET", "/api/admin/sessions?"+query, "", token).want(t, query, 400, protocol.BadRequest)
	}
}

func TestIdentify_TokenGuessesStopReachingTheStore(t *testing.T) {
	c := newCluster()
	counted := &countingLogins{Store: c.store}
	n := c.node(t, "a", func(cfg *admin.Config) { cfg.Store = counted })
	token := n.login(t, "From: 198.51.100.7")
	for i := range 300 {
		if n.in(t, fmt.Sprintf("Authorization: Bearer %064d", i)) {
			t.Fatal("a guess is in")
		}
	}
	if counted.asked > 100 {
		t.Errorf("the store was asked %d times, want 100 at most", counted.asked)
	}
	if !n.in(t, token, "From: 198.51.100.7") {
		t.Error("an operator elsewhere is shut out")
	}
}

// countingLogins counts how often a token is looked up.
type countingLogins struct {
	storage.Store
	asked int
}

func (s *countingLogins) Login(ctx context.Context, hash []byte, idle, most time.Duration) (storage.Login, error) {
	s.asked++
	return s.Store.Login(ctx, hash, idle, most)
}
