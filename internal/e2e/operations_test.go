package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fastport/fastport/internal/rig"
)

// watched is a cluster as its operator sees it.
type watched struct {
	*testing.T
	*rig.Cluster
	http  *http.Client
	token string
}

func watchCluster(t *testing.T) *watched {
	t.Helper()
	c, err := rig.Start(t.Context(), rig.Options{Nodes: 2, Proxies: true, Binary: binary})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &watched{t, c, &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}, ""}
	var login struct{ Token string }
	w.ask("POST", c.Node(0).URL()+"/api/admin/login", fmt.Sprintf(`{"username":%q,"password":%q}`, rig.AdminUser, c.AdminPass), &login)
	w.token = login.Token
	return w
}

// ask calls a node until it answers with 200: an answer may be lost to what a test does to the cluster.
func (w *watched) ask(method, url, body string, answer any) {
	w.Helper()
	w.until(method+" "+url, func() error {
		r, err := http.NewRequestWithContext(w.Context(), method, url, strings.NewReader(body))
		if err != nil {
			return err
		}
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		if w.token != "" {
			r.Header.Set("Authorization", "Bearer "+w.token)
		}
		if name, ok := answer.(*string); ok && *name != "" { // for a back end
			r.SetBasicAuth(*name, "password")
		}
		res, err := w.http.Do(r)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: %s %v", res.Status, text, err)
		}
		if _, ok := answer.(*string); ok || answer == nil {
			return nil
		}
		return json.Unmarshal(text, answer)
	})
}

// until tries for a while.
func (w *watched) until(what string, try func() error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 40*time.Second)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.Fatalf("%s: %v", what, err)
		}
	}
}

type readiness struct {
	ready            bool
	Success          bool
	Faults, Degraded []string
}

func (w *watched) readiness(n *rig.Node) (r readiness, err error) {
	ready, body, err := n.Ready(w.Context())
	if err != nil {
		return r, err
	}
	err = json.Unmarshal([]byte(body), &r)
	r.ready = ready
	if err == nil && r.ready != r.Success {
		err = fmt.Errorf("its status and its body disagree: %s", body)
	}
	return r, err
}

// says waits until a node says of itself what is wanted.
func (w *watched) says(n *rig.Node, when string, faults, degraded []string, meanwhile ...func()) {
	w.Helper()
	w.until(n.Name()+" "+when, func() error {
		for _, do := range meanwhile {
			do()
		}
		r, err := w.readiness(n)
		if err == nil && (!slices.Equal(r.Faults, faults) || !slices.Equal(r.Degraded, degraded) || r.ready != (len(faults) == 0)) {
			err = fmt.Errorf("it says %+v, want faults %v and degraded %v", r, faults, degraded)
		}
		return err
	})
}

// figure reads one sample off a node's /metrics.
func (w *watched) figure(n *rig.Node, sample string) float64 {
	w.Helper()
	var value float64
	w.until(sample, func() error {
		res, err := w.http.Get(n.OpsURL() + "/metrics")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, sample+" "); ok {
				_, err := fmt.Sscan(rest, &value)
				return err
			}
		}
		return errors.New("there is no such sample")
	})
	return value
}

// isAbout waits until a sample has a value: figures are a second old at the most.
func (w *watched) isAbout(n *rig.Node, sample string, right func(float64) bool) {
	w.Helper()
	w.until(n.Name()+": "+sample, func() error {
		if got := w.figure(n, sample); !right(got) {
			return fmt.Errorf("it is %v", got)
		}
		return nil
	})
}

func is(want float64) func(float64) bool     { return func(got float64) bool { return got == want } }
func above(bound float64) func(float64) bool { return func(got float64) bool { return got > bound } }

// TestReadiness_IsTheNodesOwnFaultsAlone: a node whose end of Redis is deaf turns unready, says why, and heals by
// itself; Redis or Postgres gone for all makes no node unready, and shows.
func TestReadiness_IsTheNodesOwnFaultsAlone(t *testing.T) {
	w := watchCluster(t)
	none := []string{}
	one, two := w.Node(0), w.Node(1)
	for _, n := range w.Nodes {
		w.says(n, "at first", none, none)
	}

	w.says(one, "deaf", []string{"backplane"}, none, one.Redis().DeafenSubscriptions)
	w.says(two, "beside a deaf one", none, none)
	w.says(one, "healed by itself", none, none)
	w.isAbout(one, "fastport_backplane_deaf_total", above(0))
	w.isAbout(two, "fastport_backplane_deaf_total", is(0))
	w.isAbout(one, "fastport_backplane_round_trip_seconds_count", above(0))

	if err := w.Redis.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, n := range w.Nodes {
		w.says(n, "without Redis", none, []string{"backplane"})
		w.isAbout(n, `fastport_degraded{part="backplane"}`, is(1))
		w.isAbout(n, "fastport_backplane_up", is(0))
		w.isAbout(n, "fastport_ready", is(1))
	}
	if err := w.Redis.Restart(); err != nil {
		t.Fatal(err)
	}
	for _, n := range w.Nodes {
		w.says(n, "with Redis again", none, none)
		w.isAbout(n, "fastport_backplane_up", is(1))
	}

	if err := w.Postgres.Freeze(); err != nil {
		t.Fatal(err)
	}
	for _, n := range w.Nodes {
		w.says(n, "without Postgres", none, []string{"store"})
		w.isAbout(n, `fastport_degraded{part="store"}`, is(1))
	}
	if err := w.Postgres.Thaw(); err != nil {
		t.Fatal(err)
	}
	for _, n := range w.Nodes {
		w.says(n, "with Postgres again", none, none)
	}
}

// TestStats_AreOfTheWholeClusterFromAnyNode over real Redis: sums, each node's row, and the dead node's end.
func TestStats_AreOfTheWholeClusterFromAnyNode(t *testing.T) {
	w := watchCluster(t)
	one, two := w.Node(0), w.Node(1)
	w.ask("POST", one.URL()+"/api/createSession", `{"sessionName":"s","password":"password"}`, nil)
	serial := 0
	publish := func() {
		token, name := w.token, "s"
		w.token = ""
		for _, n := range w.Nodes {
			serial++
			w.ask("POST", n.URL()+"/api/publish", fmt.Sprintf(`{"topic":"t","messageId":"m%d","data":"x"}`, serial), &name)
		}
		w.token = token
	}

	type node struct {
		ID, Version, Address string
		Uptime               int64
		Ready                bool
		PublishesPerSecond   float64
		AckP50Ms, AckP99Ms   float64
		HeapUsed             uint64
		Faults, Degraded     []string
	}
	var stats struct {
		ActiveSessions, TotalConnections, ReadyNodes int64
		PublishesPerSecond, AckP99Ms                 float64
		Nodes                                        []node
	}
	for _, n := range w.Nodes {
		w.until("the stats of "+n.Name(), func() error {
			publish() // the rates are those of the last seconds
			stats.Nodes = nil
			w.ask("GET", n.URL()+"/api/admin/stats", "", &stats)
			if len(stats.Nodes) != 2 || stats.ReadyNodes != 2 || stats.ActiveSessions != 1 {
				return fmt.Errorf("%+v", stats)
			}
			sum := 0.0
			for i, n := range stats.Nodes {
				if n.ID != w.Nodes[i].Name() || n.Version == "" || n.Address == "" || !n.Ready || n.HeapUsed == 0 || n.PublishesPerSecond <= 0 || n.AckP99Ms < n.AckP50Ms || n.AckP50Ms <= 0 {
					return fmt.Errorf("%+v", n)
				}
				sum += n.PublishesPerSecond
			}
			if stats.PublishesPerSecond != sum || stats.AckP99Ms != max(stats.Nodes[0].AckP99Ms, stats.Nodes[1].AckP99Ms) {
				return fmt.Errorf("%+v is no sum", stats)
			}
			return nil
		})
	}
	w.isAbout(one, "fastport_peers", is(1))
	if err := two.Kill(); err != nil {
		t.Fatal(err)
	}
	w.until("the stats without the dead node", func() error {
		stats.Nodes = nil
		w.ask("GET", one.URL()+"/api/admin/stats", "", &stats)
		if len(stats.Nodes) != 1 || stats.Nodes[0].ID != one.Name() {
			return fmt.Errorf("%+v", stats.Nodes)
		}
		return nil
	})
	w.isAbout(one, "fastport_peers", is(0))
}
