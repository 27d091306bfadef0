package charts

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	sigs "sigs.k8s.io/yaml"
)

// Whether the metrics are there that the queries ask for is tested beside the broker, in cmd/fastport.

const (
	alertsFile    = Chart + "/monitoring/alerts.yaml"
	dashboardFile = Chart + "/monitoring/dashboard.json"
)

func promtool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestAlerts_PromtoolTakesThem(t *testing.T) { promtool(t, "check", "rules", alertsFile) }

func TestAlerts_FireOnTheirTroubleAndOnNothingElse(t *testing.T) {
	promtool(t, "test", "rules", "testdata/alerts_test.yaml")
}

type alert struct {
	Alert               string
	Labels, Annotations map[string]string
}

func alerts(t *testing.T) (all []alert) {
	t.Helper()
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Groups []struct{ Rules []alert } }
	if err := sigs.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 10 {
		t.Fatalf("%d alerts: the reading is broken", len(all))
	}
	return all
}

func TestAlerts_EachIsTestedAndHasADrill(t *testing.T) {
	tests, err := os.ReadFile("testdata/alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, a := range alerts(t) {
		names = append(names, a.Alert)
		if !strings.Contains(string(tests), "alertname: "+a.Alert+"\n") {
			t.Errorf("%s fires in no test", a.Alert)
		}
		if !strings.Contains(string(doc), "| `"+a.Alert+"` |") {
			t.Errorf("docs/operations.md has no drill for %s", a.Alert)
		}
		if s := a.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s has severity %q", a.Alert, s)
		}
		if a.Annotations["summary"] == "" {
			t.Errorf("%s does not say what is wrong", a.Alert)
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(FastPort\\w+)`").FindAllStringSubmatch(string(doc), -1) {
		if !slices.Contains(names, row[1]) {
			t.Errorf("docs/operations.md has a drill for %s, which is no alert", row[1])
		}
	}
}

// panel is as much of a dashboard's panel as is about us.
type panel struct {
	ID                       int
	Type, Title, Description string
	Targets                  []struct{ Expr string }
}

func TestDashboard_EveryQueryIsOne(t *testing.T) {
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct{ Panels []panel }
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	// promtool reads queries as rules alone.
	rules := "groups: [{name: dashboard, rules: [\n"
	seen, queries := map[int]bool{}, 0
	for _, p := range dashboard.Panels {
		if seen[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		seen[p.ID] = true
		if p.Type != "row" && (p.Description == "" || len(p.Targets) == 0) {
			t.Errorf("%s says or asks nothing", p.Title)
		}
		for _, target := range p.Targets {
			expr := strings.ReplaceAll(target.Expr, "$__rate_interval", "1m")
			rules += fmt.Sprintf("{record: 'query:%d', expr: %q},\n", queries, expr)
			queries++
		}
	}
	if queries < 30 {
		t.Fatalf("%d queries: the reading is broken", queries)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(rules+"]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}
