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
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/api"
	"github.com/fastport/fastport/backplane"
	busmemory "github.com/fastport/fastport/backplane/memory"
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

func TestLogin_EveryNodeKnowsIt(t *testing.T) {
	c := newCluster()
	a, b := c.node(t, "a", nil), c.node(t, "b", nil)
	first, second := a.login(t), a.login(t)
	if first == second {
		t.Error("two logins have one token")
	}
	for _, token := range []string{first, second} {
		if !a.in(t, token) || !b.in(t, token) {
			t.Error("a token is not known everywhere")
		}
	}
	if b.in(t) || b.in(t, "Authorization: Bearer "+strings.Repeat("a", 64)) || b.in(t, "Authorization: Bearer") || b.in(t, strings.Replace(first, "Bearer", "Basic", 1)) {
		t.Error("someone without a token is in")
	}
	if strings.Contains(c.logs.String(), first[len("Authorization: Bearer "):]) || strings.Contains(c.logs.String(), pass) {
		t.Error("a secret was logged")
	}
}

func TestLogin_WrongUserAndWrongPasswordSayTheSame(t *testing.T) {
	n := newCluster().node(t, "a", nil)
	var bodies []string
	for i, body := range []string{
		credentials("root", "wrong"), credentials("toor", pass), credentials("", ""), `{}`, `{"username":7,"password":["x"]}`,
		credentials(strings.Repeat("x", 5000), pass), `{"username":null}`, `{"username":"root\u0000","password":"` + pass + `"}`,
		credentials("roo", "t"+pass),
	} {
		a := n.call(t, "POST", "/api/admin/login", body, fmt.Sprintf("From: 192.0.2.%d", i))
		a.want(t, body[:min(40, len(body))], 401, protocol.Unauthorized)
		if len(a.Result().Cookies()) != 0 {
			t.Errorf("%.40s: a cookie was set", body)
		}
		bodies = append(bodies, a.Body.String())
	}
	for _, body := range bodies {
		if body != bodies[0] {
			t.Errorf("answers differ: %s and %s", body, bodies[0])
		}
	}
}

func TestLogin_LocksAfterFiveFailuresOfAnAccountAndAddressOnAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		a, b := c.node(t, "a", nil), c.node(t, "b", nil)
		try := func(n node, pass string, headers ...string) answer {
			t.Helper()
			return n.call(t, "POST", "/api/admin/login", credentials("root", pass), headers...)
		}
		for i := range 4 {
			try([]node{a, b}[i%2], "wrong").want(t, "a failure", 401, protocol.Unauthorized)
		}
		try(a, pass).want(t, "right after four failures", 200, "") // which are forgotten
		for i := range 5 {
			try([]node{a, b}[i%2], "wrong").want(t, "a failure", 401, protocol.Unauthorized)
		}
		locked := try(b, pass)
		locked.want(t, "right after five failures", 429, protocol.RateLimited)
		if n := locked.Header().Get("Retry-After"); n != "900" {
			t.Errorf("Retry-After = %q, want 900", n)
		}
		try(b, pass, "From: 198.51.100.7").want(t, "from elsewhere", 200, "")
		time.Sleep(15*time.Minute - time.Second)
		try(a, pass).want(t, "a second before the end", 429, protocol.RateLimited)
		time.Sleep(time.Second)
		try(a, pass).want(t, "after it", 200, "")
	})
}

func TestLogin_ManyGuessesAtOnceAreFive(t *testing.T) {
	c := newCluster()
	a, b := c.node(t, "a", nil), c.node(t, "b", nil)
	var wg sync.WaitGroup
	codes := make([]int, 40)
	for i := range codes {
		wg.Go(func() {
			codes[i] = []node{a, b}[i%2].call(t, "POST", "/api/admin/login", credentials("root", fmt.Sprint("guess ", i))).Code
		})
	}
	wg.Wait()
	tried := 0
	for _, code := range codes {
		if code == 401 {
			tried++
		}
	}
	if tried != 5 {
		t.Errorf("%d guesses were tried, want 5", tried)
	}
}

func TestLogin_WithoutCountersGuessesAreStillFew(t *testing.T) {
	c := newCluster()
	n := c.node(t, "a", nil)
	if err := n.backplane.Close(); err != nil {
		t.Fatal(err)
	}
	n.login(t)
	tried := 0
	for range 50 {
		if n.call(t, "POST", "/api/admin/login", credentials("root", "wrong")).Code == 401 {
			tried++
		}
	}
	if tried > 5 {
		t.Errorf("%d guesses were tried, want 5 at most", tried)
	}
}

func TestLogin_EndsIdleAfter30MinutesAndAfter12Hours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newCluster().node(t, "a", nil)
		idle := n.login(t)
		time.Sleep(30*time.Minute - time.Second)
		if !n.in(t, idle) {
			t.Error("ended before 30 minutes")
		}
		time.Sleep(30 * time.Minute)
		if n.in(t, idle) {
			t.Error("not ended after 30 idle minutes")
		}
		busy := n.login(t)
		for range 12*4 - 1 {
			time.Sleep(15 * time.Minute)
			if !n.in(t, busy) {
				t.Fatal("ended in use before 12 hours")
			}
		}
		time.Sleep(15 * time.Minute)
		if n.in(t, busy) {
			t.Error("not ended after 12 hours")
		}
	})
}

func TestLogin_EndsWhenThePasswordChanges(t *testing.T) {
	c := newCluster()
	token := c.node(t, "a", nil).login(t)
	if c.node(t, "b", func(cfg *admin.Config) { cfg.Pass = "another password" }).in(t, token) {
		t.Error("a login made with the old password is known")
	}
}

// cookie is the one Set-Cookie of an answer.
func (a answer) cookie(t *testing.T) *http.Cookie {
	t.Helper()
	cookies := a.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies = %v, want one", cookies)
	}
	return cookies[0]
}

func TestCookie_IsForThisHostAndNoScript(t *testing.T) {
	n := newCluster().node(t, "a", nil)
	plain := n.call(t, "POST", "/api/admin/login", credentials("root", pass)).cookie(t)
	tls := n.call(t, "POST", "/api/admin/login", credentials("root", pass), "TLS: on").cookie(t)
	for _, c := range []*http.Cookie{plain, tls} {
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 12*3600 {
			t.Errorf("cookie = %v", c)
		}
	}
	if plain.Secure || plain.Name != "fastport_admin" || !tls.Secure || tls.Name != "__Host-fastport_admin" {
		t.Errorf("plain = %v, TLS = %v", plain, tls)
	}
	if !n.in(t, "Cookie: "+plain.Name+"="+plain.Value) || !n.in(t, "Cookie: "+tls.Name+"="+tls.Value, "TLS: on") {
		t.Error("a cookie is not known")
	}
	if n.in(t, "Cookie: "+plain.Name+"="+plain.Value, "TLS: on") {
		t.Error("a cookie that any site of the domain may have set is taken under TLS")
	}
}

func TestCookie_FromAnotherSiteCountsForNothing(t *testing.T) {
	c := newCluster()
	n := c.node(t, "a", nil)
	if _, err := n.catalog.Create(t.Context(), session.NewSpec("s", "p")); err != nil {
		t.Fatal(err)
	}
	cookie := n.call(t, "POST", "/api/admin/login", credentials("root", pass)).cookie(t)
	header := "Cookie: " + cookie.Name + "=" + cookie.Value
	drop := func(headers ...string) answer {
		return n.call(t, "POST", "/api/dropSession", `{"sessionName":"s"}`, append(headers, header)...)
	}
	for _, foreign := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example"} {
		drop(foreign).want(t, "drop, "+foreign, 401, protocol.Unauthorized)
		n.call(t, "POST", "/api/admin/logout", "", foreign, header).want(t, "logout, "+foreign, 403, protocol.Unauthorized)
		n.call(t, "POST", "/api/admin/login", credentials("root", pass), foreign).want(t, "login, "+foreign, 403, protocol.Unauthorized)
	}
	drop("Sec-Fetch-Site: same-origin").want(t, "drop from its own page", 200, "")
}

func TestLogin_ReplacesTheOneItsBrowserHad(t *testing.T) {
	n := newCluster().node(t, "a", nil)
	first := n.call(t, "POST", "/api/admin/login", credentials("root", pass)).cookie(t)
	header := "Cookie: " + first.Name + "=" + first.Value
	second := n.call(t, "POST", "/api/admin/login", credentials("root", pass), header).cookie(t)
	if second.Value == first.Value {
		t.Error("the token did not change")
	}
	if n.in(t, header) || !n.in(t, "Cookie: "+second.Name+"="+second.Value) {
		t.Error("the old token still counts, or the new one does not")
	}
}

func TestLogout_HereAndEverywhere(t *testing.T) {
	c := newCluster()
	a, b := c.node(t, "a", nil), c.node(t, "b", nil)
	one, two, three := a.login(t), a.login(t), b.login(t)
	out := b.call(t, "POST", "/api/admin/logout", "", one)
	out.want(t, "logout", 200, "")
	if cookie := out.cookie(t); cookie.MaxAge >= 0 || cookie.Value != "" {
		t.Errorf("cookie = %v, want it removed", cookie)
	}
	if a.in(t, one) || !a.in(t, two) || !a.in(t, three) {
		t.Error("logout ended another login than its own")
	}
	a.call(t, "POST", "/api/admin/logout", "", one).want(t, "again", 401, protocol.Unauthorized)
	a.call(t, "POST", "/api/admin/logout", `{"everywhere":"yes"}`, two).want(t, "malformed", 400, protocol.BadRequest)
	a.call(t, "POST", "/api/admin/logout", `{"everywhere":true}`, two).want(t, "everywhere", 200, "")
	if b.in(t, two) || b.in(t, three) {
		t.Error("a login outlived logout everywhere")
	}
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
	figures, err := json.Marshal(session.Stats{Connections: 5, HeapUsed: 1000, HeapTotal: 2000}) // as the engine's heartbeats do
	if err != nil {
		t.Fatal(err)
	}
	if err := b.backplane.Heartbeat(t.Context(), backplane.Node{ID: "b", Started: time.Now(), Figures: figures}); err != nil {
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
	used := stats.Nodes[0].HeapUsed
	if used < 100_000 || stats.Nodes[0].HeapTotal < used || stats.MemoryUsage.HeapUsed != used+1000 {
		t.Errorf("memory = %+v of %+v", stats.MemoryUsage, stats.Nodes)
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
