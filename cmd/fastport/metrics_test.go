package main

import (
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"

	"github.com/fastport/fastport/protocol"
)

// scrape is what /metrics said.
type scrape struct {
	text   string
	kinds  map[string]string             // of each metric
	labels map[string][]string           // of each metric, without le
	series map[string]float64            // by name and labels, as written
	values map[string]map[string]float64 // by name, then by the values of its labels with commas between
}

var (
	sampleLine = regexp.MustCompile(`^([a-z_]+)(?:\{(.*)\})? (\S+)$`)
	labelPair  = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
)

// scrapeNode reads a node's figures once they are newer than what was done before.
func scrapeNode(t *testing.T, url string) scrape {
	t.Helper()
	code, text := status(t, plain(), url+"/metrics")
	if code != http.StatusOK {
		t.Fatalf("/metrics: %d %s", code, text)
	}
	s := scrape{text, map[string]string{}, map[string][]string{}, map[string]float64{}, map[string]map[string]float64{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			s.kinds[name] = kind
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		name := m[1]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, ok := strings.CutSuffix(name, suffix); ok && s.kinds[base] == "histogram" {
				name = base
			}
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		var words []string
		for _, pair := range labelPair.FindAllStringSubmatch(m[2], -1) {
			if pair[1] != "le" && !slices.Contains(s.labels[name], pair[1]) {
				s.labels[name] = append(s.labels[name], pair[1])
			}
			words = append(words, pair[2])
		}
		s.series[m[1]+"{"+m[2]+"}"] = value
		if s.values[m[1]] == nil {
			s.values[m[1]] = map[string]float64{}
		}
		s.values[m[1]][strings.Join(words, ",")] = value
	}
	return s
}

// own is the names of fastPort's metrics.
func (s scrape) own() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.kinds)), func(name string) bool { return !strings.HasPrefix(name, "fastport_") })
}

// until scrapes till a sample has a value, which it must within a while: figures are a second old at the most.
func until(t *testing.T, url, name, labels string, want float64) scrape {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		s := scrapeNode(t, url)
		if got, ok := s.values[name][labels]; ok && got == want {
			return s
		} else if time.Now().After(deadline) {
			t.Fatalf("%s{%s} = %v (%v), want %v", name, labels, got, ok, want)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Names that traffic brings along and no figure may hold.
const (
	aTopic  = "a-topic-of-theirs"
	aClient = "a-client-of-theirs"
	aUser   = "a-user-of-theirs"
	anID    = "a-message-of-theirs"
)

// busyNode is a node that has had some of everything.
func busyNode(t *testing.T, env map[string]string) (n *Node, before scrape) {
	t.Helper()
	env["METRICS_PORT"] = "0"
	n = startTestNode(t, nodeConfig(t, env))
	before = scrapeNode(t, n.OpsURL())
	createBareSession(t, n)
	sub := dialBare(t, n, 2, aClient)
	sub.send(`{"type":"subscribe","topic":%q}`, aTopic)
	sub.want("subscribe_response")
	live := dialBare(t, n, 2) // nobody: sub may still be reading the store when the message comes
	live.send(`{"type":"subscribe","topic":%q}`, aTopic)
	live.want("subscribe_response")
	old := dialBare(t, n, 1)
	old.send(`{"type":"publish","topic":%q,"messageId":%q,"data":"x"}`, aTopic, anID)
	old.want("publish_response")
	old.want("ack_received")
	for _, d := range []*bareClient{sub, live} {
		d.want("message")
		d.send(`{"type":"ack","topic":%q,"messageId":%q}`, aTopic, anID)
	}
	live.send(`{"type":"unsubscribe","topic":%q}`, aTopic)
	live.want("unsubscribe_response")
	sub.send(`{"type":"publish","topic":%q,"messageId":"m2","data":"x","hash":"00"}`, aTopic)
	if text, _ := sub.read(); text["code"] == nil {
		t.Fatalf("got %v, want a refusal", text)
	}
	old.send(`{"type":%q}`, aUser)
	old.want("error")
	const file = `"fileId":"6f1c2d9e-1234-4abc-8def-000000000001","topic":"` + aTopic + `"`
	old.send(`{"type":"init_file",` + file + `,"fileName":"f","fileSize":3,"totalChunks":1}`)
	sub.want("init_file")
	chunk := append([]byte{protocol.KindChunk}, "6f1c2d9e-1234-4abc-8def-000000000001\x00\x00\x00\x00abc"...)
	if err := wsutil.WriteClientBinary(old.conn, chunk); err != nil {
		t.Fatal(err)
	}
	for text := (map[string]any{}); text != nil; {
		text, _ = sub.read() // until the chunk
	}
	status(t, plain(), n.URL()+"/nowhere")
	return n, before
}

func TestMetrics_TellWhatHappened(t *testing.T) {
	n, _ := busyNode(t, map[string]string{"DB_TYPE": "sqlite"})
	s := until(t, n.OpsURL(), "fastport_file_bytes_total", "out", 3)
	for name, words := range map[string]map[string]float64{
		"fastport_ready":                             {"": 1},
		"fastport_fault":                             {"draining": 0, "disk_full": 0, "backplane": 0},
		"fastport_degraded":                          {"store": 0, "backplane": 0},
		"fastport_connections":                       {"none": 0, "1": 1, "2": 2},
		"fastport_publishes_total":                   {"": 1},
		"fastport_publishes_acked_total":             {"": 1},
		"fastport_deliveries_total":                  {"": 2},
		"fastport_delivery_acks_total":               {"": 2},
		"fastport_publish_to_ack_seconds_count":      {"": 1},
		"fastport_publish_to_delivery_seconds_count": {"": 1},
		"fastport_commit_seconds_count":              {"": 1},
		"fastport_commit_messages_sum":               {"": 1},
		"fastport_stored_sessions":                   {"": 0}, // as the store said before: it is asked every 10 s
		"fastport_errors_total":                      {"bad_request,websocket": 2, "not_found,http": 1, "other,websocket": 0},
		"fastport_login_checks_total":                {"right": 3, "wrong": 0},
		"fastport_file_bytes_total":                  {"in": 3, "out": 3},
		"fastport_pending_messages":                  {"1s": 0, "older": 0},
		"fastport_rate_limited_total":                {"session": 0, "connection": 0, "address": 0, "login": 0, "http": 0},
	} {
		for word, want := range words {
			if got, ok := s.values[name][word]; !ok || got != want {
				t.Errorf("%s{%s} = %v (%v), want %v", name, word, got, ok, want)
			}
		}
	}
	if s.values["fastport_received_bytes_total"][""] < 100 || s.values["go_goroutines"][""] == 0 || s.values["process_open_fds"][""] == 0 {
		t.Error("no bytes, goroutines or files were counted")
	}
}

// Labels are from closed sets: traffic makes no new series, and no name of anybody's is in any.
func TestMetrics_TrafficMakesNoNewSeries(t *testing.T) {
	n, before := busyNode(t, map[string]string{})
	after := until(t, n.OpsURL(), "fastport_publishes_acked_total", "", 1)
	for series := range after.series {
		if _, ok := before.series[series]; !ok {
			t.Errorf("%s is new", series)
		}
	}
	for series := range before.series {
		if _, ok := after.series[series]; !ok {
			t.Errorf("%s is gone", series)
		}
	}
	for _, name := range []string{aTopic, aClient, aUser, anID, `"s"`, n.id} {
		if strings.Contains(after.text, name) {
			t.Errorf("the figures hold %q", name)
		}
	}
	if len(after.own()) < 50 {
		t.Errorf("only %d metrics: the scrape is broken", len(after.own()))
	}
}

func TestMetrics_PromtoolHasNothingToSay(t *testing.T) {
	n, _ := busyNode(t, map[string]string{})
	cmd := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(scrapeNode(t, n.OpsURL()).text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

func TestMetrics_AreOnTheOperatorsPortAloneWhereThereIsOne(t *testing.T) {
	n := startTestNode(t, nodeConfig(t, map[string]string{"METRICS_PORT": "0"}))
	if code, _ := status(t, plain(), n.URL()+"/metrics"); code != http.StatusNotFound {
		t.Errorf("public /metrics with METRICS_PORT: %d, want 404", code)
	}
	alone := startTestNode(t, nodeConfig(t, nil))
	if s := scrapeNode(t, alone.URL()); s.kinds["fastport_ready"] != "gauge" {
		t.Errorf("public /metrics without METRICS_PORT holds no figures")
	}
}

func TestDocs_OperationsListsWhatIsExportedAndNothingElse(t *testing.T) {
	doc, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	n := startTestNode(t, nodeConfig(t, map[string]string{"METRICS_PORT": "0"}))
	s := scrapeNode(t, n.OpsURL())
	rows := map[string]bool{}
	for line := range strings.Lines(string(doc)) {
		if !strings.HasPrefix(line, "| `fastport_") {
			continue
		}
		// | name | type | labels | meaning | what to watch for |
		cells := strings.Split(strings.TrimSpace(line), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) != 7 || cells[4] == "" {
			t.Errorf("not a row of five cells: %s", line)
			continue
		}
		name, kind := strings.Trim(cells[1], "`"), cells[2]
		rows[name] = true
		if s.kinds[name] != kind {
			t.Errorf("%s is documented as a %s, exported as %q", name, kind, s.kinds[name])
		}
		var labels []string
		for label := range strings.SplitSeq(strings.ReplaceAll(cells[3], "`", ""), ", ") {
			if label != "" {
				labels = append(labels, label)
			}
		}
		slices.Sort(labels)
		if exported := slices.Sorted(slices.Values(s.labels[name])); !slices.Equal(labels, exported) {
			t.Errorf("%s is documented with the labels %q, exported with %q", name, labels, exported)
		}
	}
	for _, name := range s.own() {
		if !rows[name] {
			t.Errorf("%s is exported and not documented", name)
		}
		// What a label may be is told where the label is.
		for words := range s.values[name] {
			for word := range strings.SplitSeq(words, ",") {
				known := word == "" || name == "fastport_build_info" || s.kinds[name] == "histogram" || slices.Contains(protocol.Codes, protocol.Code(word))
				if !known && !strings.Contains(string(doc), "`"+word+"`") {
					t.Errorf("%s: the word %q is not in docs/operations.md", name, word)
				}
			}
		}
	}
}
