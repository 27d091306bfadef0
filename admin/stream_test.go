package admin_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

func TestStream_OverviewBeginsWithTheLastMinutesOfEveryNode(t *testing.T) {
	c := newCluster()
	a, b := c.run(t, "a"), c.run(t, "b")
	a.admin.Sample(admin.Figures{Connections: 4, Publishes: 10})
	b.admin.Sample(admin.Figures{Connections: 6, Publishes: 20})
	p := a.open(t, "view=overview", a.login(t))
	if kind := p.Header.Get("Content-Type"); p.StatusCode != 200 || kind != "text/event-stream" || p.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v", p.StatusCode, p.Header)
	}
	var h admin.History
	if _, ok := p.next(t, "history", &h); !ok {
		t.Fatal("no history")
	}
	last := len(h.Cluster.Connections) - 1
	if last != 199 || h.Cluster.Connections[last] == nil || *h.Cluster.Connections[last] != 10 || *h.Cluster.Publishes[last] != 30 || len(h.Nodes) != 2 || *h.Nodes["b"].Connections[last] != 6 {
		t.Errorf("history of %d, nodes %v", last+1, h.Nodes)
	}
	var s admin.Stats
	id, ok := p.next(t, "stats", &s)
	if !ok || len(s.Nodes) != 2 || id == "" {
		t.Fatalf("stats = %+v, id %q", s, id)
	}
	// Who comes back is told what it missed and no more.
	again := b.open(t, "view=overview", a.login(t), "Last-Event-ID: "+id)
	if again.next(t, "history", &h); len(h.Cluster.Connections) > 3 {
		t.Errorf("who comes back at once gets %d samples", len(h.Cluster.Connections))
	}
	if odd := b.open(t, "view=overview", a.login(t), "Last-Event-ID: nonsense"); odd.StatusCode == 200 {
		if odd.next(t, "history", &h); len(h.Cluster.Connections) != 200 {
			t.Errorf("a strange id gets %d samples, want all", len(h.Cluster.Connections))
		}
	}
}

func TestStream_LogComesFromEveryNodeAtItsLevelAndGoesOnWhereItEnded(t *testing.T) {
	c := newCluster()
	a, b := c.run(t, "a"), c.run(t, "b")
	a.log.Info("one", slog.Int("k", 1))
	b.log.Warn("two")
	b.log.Info("three")
	token := a.login(t)
	type row struct {
		Node string
		Row  struct {
			Level, Msg, Node string
			K                int
		}
	}
	read := func(p *page) (all []string, id string) {
		t.Helper()
		var rows []row
		id, ok := p.next(t, "rows", &rows)
		if !ok {
			t.Fatal("the stream ended")
		}
		for _, r := range rows {
			if r.Row.Node == r.Node && r.Row.Msg != "an operator's action" {
				all = append(all, r.Node+" "+r.Row.Level+" "+r.Row.Msg)
			}
		}
		return all, id
	}
	got, id := read(a.open(t, "view=log", token))
	if fmt.Sprint(got) != "[a INFO one b WARN two b INFO three]" {
		t.Errorf("all: %v", got)
	}
	if got, _ := read(a.open(t, "view=log&level=warn", token)); fmt.Sprint(got) != "[b WARN two]" {
		t.Errorf("warnings: %v", got)
	}
	if got, _ := read(a.open(t, "view=log&node=b&level=INFO", token)); fmt.Sprint(got) != "[b WARN two b INFO three]" {
		t.Errorf("node b: %v", got)
	}
	b.log.Error("four")
	if got, _ := read(a.open(t, "view=log", token, "Last-Event-ID: "+id)); fmt.Sprint(got) != "[b ERROR four]" {
		t.Errorf("after it came back: %v", got)
	}
	p := a.open(t, "view=log&node=a", token)
	read(p)
	a.log.Info("five")
	if got, _ := read(p); fmt.Sprint(got) != "[a INFO five]" {
		t.Errorf("live: %v", got)
	}
	a.call(t, "GET", "/api/admin/events?view=log&level=loud", "", token).want(t, "level", 400, protocol.BadRequest)
	a.call(t, "GET", "/api/admin/events?view=log&node="+strings.Repeat("x", 300), "", token).want(t, "node", 400, protocol.BadRequest)
	a.call(t, "GET", "/api/admin/events?view=all", "", token).want(t, "view", 400, protocol.BadRequest)
}

func TestStream_TraceTellsStepsAsTheyHappen(t *testing.T) {
	c := newCluster()
	a, b := c.run(t, "a"), c.run(t, "b")
	s := a.session(t, "s")
	if _, err := c.store.Subscribe(t.Context(), "c:1", storage.Topic{Session: s.ID, Name: "t"}, false); err != nil {
		t.Fatal(err)
	}
	token := a.login(t)
	a.call(t, "POST", "/api/admin/trace", `{"session":"s","messageId":"m1"}`, token).want(t, "watch", 200, "")
	p := a.open(t, "view=trace&session=s&messageId=m1", token)
	var rows []json.RawMessage
	if p.next(t, "rows", &rows); len(rows) != 0 {
		t.Errorf("%d steps before there were any", len(rows))
	}
	b.publish(t, s, "t", "m1")
	if p.next(t, "rows", &rows); len(rows) == 0 || !strings.Contains(string(rows[0]), `"published"`) {
		t.Errorf("rows = %s", rows)
	}
	a.call(t, "GET", "/api/admin/events?view=trace&session=none", "", token).want(t, "no session", 404, protocol.NotFound)
}

func TestStream_EndsWithItsLoginAndWithItsNode(t *testing.T) {
	c := newCluster()
	a, b := c.run(t, "a"), c.run(t, "b")
	token, other := a.login(t), a.login(t)
	opened := time.Now()
	p, q, far := a.open(t, "view=log", token), a.open(t, "view=log", other), b.open(t, "view=log", token)
	var rows []json.RawMessage
	for _, page := range []*page{p, q, far} {
		page.next(t, "rows", &rows)
	}
	a.call(t, "POST", "/api/admin/logout", "{}", token).want(t, "logout", 200, "")
	var none struct{}
	for node, page := range map[string]*page{"this node": p, "another": far} {
		if _, ok := page.next(t, "gone", &none); !ok {
			t.Errorf("the page at %s ended without a word", node)
		}
	}
	if age := time.Since(opened); age > 15*time.Second {
		t.Errorf("the pages ended %v after they were opened: only when they looked by themselves", age)
	}
	b.log.Info("one more")
	if _, ok := q.next(t, "rows", &rows); !ok {
		t.Error("another login's ended too")
	}
	a.admin.Close()
	for ok := true; ok; {
		_, ok = q.next(t, "rows", &rows) // until it ends
	}
}

func TestStream_AreBoundedInNumber(t *testing.T) {
	a := newCluster().run(t, "a")
	token := a.login(t)
	for range 64 {
		if p := a.open(t, "view=log", token); p.StatusCode != 200 {
			t.Fatalf("%d", p.StatusCode)
		}
	}
	if p := a.open(t, "view=log", token); p.StatusCode != 503 || p.Header.Get("Retry-After") == "" {
		t.Errorf("one more: %d, want 503", p.StatusCode)
	}
}

// A node that is dead and not known to be costs a second, and what others say is shown all the same.
func TestPeers_ANodeThatDoesNotAnswerIsLeftOut(t *testing.T) {
	c := newCluster()
	a := c.run(t, "a")
	mute := c.bus.Node("mute")
	defer mute.Close()
	if err := mute.Heartbeat(t.Context(), nodeOf("mute")); err != nil {
		t.Fatal(err)
	}
	a.session(t, "s")
	token := a.login(t)
	begun := time.Now()
	if got := get[admin.SessionDetail](t, a.node, "/sessions/s", token); got.Live.Nodes != 1 {
		t.Errorf("%d nodes answered, want 1", got.Live.Nodes)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
}
