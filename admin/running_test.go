package admin_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/api"
	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
)

// running is a node with its engine: it answers what other nodes ask.
type running struct {
	node
	admin  *admin.Admin
	engine *session.Node
	logs   *admin.Logs
	log    *slog.Logger
	asked  chan struct{} // to drain
	url    string
}

func (c *cluster) run(t *testing.T, id string) *running {
	t.Helper()
	end := c.bus.Node(id)
	r := &running{logs: new(admin.Logs), asked: make(chan struct{}, 8)}
	r.log = slog.New(slog.NewMultiHandler(c.log.Handler(), r.logs.Handler(slog.LevelInfo))).With(slog.String("node", id))
	catalog := session.NewCatalog(session.CatalogConfig{Store: c.store, Control: end, Logger: r.log})
	var err error
	r.engine, err = session.New(session.Config{NodeID: id, Store: c.store, Backplane: end, Catalog: catalog, Logger: r.log,
		Operators: func(cmd *backplane.Command) {
			if r.admin != nil {
				r.admin.Command(cmd)
			}
		}})
	if err != nil {
		t.Fatal(err)
	}
	r.admin = admin.New(admin.Config{
		User: "root", Pass: pass, Store: c.store, Catalog: catalog, Backplane: end, Logger: r.log, NodeID: id, Version: "v9", Started: time.Now(),
		Engine: r.engine, Logs: r.logs, Portal: true, Drain: func() { r.asked <- struct{}{} },
		Figures: func() admin.Figures { return admin.ReadFigures(3) },
	})
	r.node = node{api.New(api.Config{Catalog: catalog, Publisher: r.engine, Counters: end, Admin: r.admin}), catalog, end}
	server := httptest.NewServer(r.Handler)
	r.url = server.URL
	ctx, stop := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() { _ = r.engine.Run(ctx) })
	t.Cleanup(func() {
		r.admin.Close()
		server.Close()
		stop()
		work.Wait()
		_ = end.Close()
	})
	until(t, "the node lives", func() bool {
		list, err := end.Nodes(t.Context())
		return err == nil && strings.Contains(names(list), id)
	})
	return r
}

func names(list []backplane.Node) (ids string) {
	for _, n := range list {
		ids += n.ID + " "
	}
	return ids
}

func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !met(); {
		if time.Now().After(end) {
			t.Fatal("not within 30 s: ", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// session makes a session with a durable subscription, so that what is published is stored.
func (r *running) session(t *testing.T, name string) storage.Session {
	t.Helper()
	if _, err := r.catalog.Create(t.Context(), session.NewSpec(name, "p")); err != nil {
		t.Fatal(err)
	}
	s, err := r.catalog.Lookup(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (r *running) publish(t *testing.T, s storage.Session, topic, id string) {
	t.Helper()
	if _, err := r.engine.Publish(t.Context(), s, session.Publication{Topic: topic, MessageID: id, Data: []byte("the data of " + id)}); err != nil {
		t.Fatal(err)
	}
}

// page is one stream of events.
type page struct {
	*http.Response
	lines *bufio.Scanner
}

func (r *running) open(t *testing.T, query string, headers ...string) *page {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "GET", r.url+"/api/admin/events?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	return &page{res, lines}
}

// next reads up to an event of a kind, and returns its id. False: the stream has ended.
func (p *page) next(t *testing.T, event string, data any) (id string, ok bool) {
	t.Helper()
	name := ""
	for p.lines.Scan() {
		field, value, _ := strings.Cut(p.lines.Text(), ": ")
		switch field {
		case "event":
			name, id = value, ""
		case "id":
			id = value
		case "data":
			if name == event {
				if err := json.Unmarshal([]byte(value), data); err != nil {
					t.Fatalf("%s: %v in %s", event, err, value)
				}
				return id, true
			}
		}
	}
	return "", false
}

// get decodes an answer of 200.
func get[T any](t *testing.T, n node, path string, headers ...string) (to T) {
	t.Helper()
	a := n.call(t, "GET", "/api/admin"+path, "", headers...)
	a.want(t, path, 200, "")
	if err := json.Unmarshal(a.Body.Bytes(), &to); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return to
}

func nodeOf(id string) backplane.Node { return backplane.Node{ID: id, Started: time.Now()} }
