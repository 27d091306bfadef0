package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

var (
	queried  = regexp.MustCompile(`\b(?:fastport|process|go)_[a-z_]+`)
	selected = regexp.MustCompile(`\b((?:fastport|process|go)_[a-z_]+)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`([a-z_]+)(=~?)\\?"([^"\\]*)\\?"`)
)

// targetLabels are Prometheus's own.
var targetLabels = []string{"job", "instance", "namespace", "pod", "le"}

// The alerts' and the dashboard's queries name metrics, labels and words that a node has. One that does not never fires
// and is an empty panel, and nobody notices.
func TestCharts_QueriesNameWhatIsExported(t *testing.T) {
	n := startTestNode(t, nodeConfig(t, map[string]string{"METRICS_PORT": "0"}))
	s := scrapeNode(t, n.OpsURL())
	base := func(name string) string {
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if cut, ok := strings.CutSuffix(name, suffix); ok && s.kinds[cut] == "histogram" {
				return cut
			}
		}
		return name
	}
	words := func(name, label string) (all []string) {
		for _, series := range selected.FindAllStringSubmatch(s.text, -1) {
			for _, pair := range labelPair.FindAllStringSubmatch(series[2], -1) {
				if base(series[1]) == name && pair[1] == label {
					all = append(all, pair[2])
				}
			}
		}
		return all
	}
	for _, file := range []string{"alerts.yaml", "dashboard.json"} {
		raw, err := os.ReadFile("../../charts/fastport/monitoring/" + file)
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw)
		names := queried.FindAllString(text, -1)
		for _, name := range names {
			if s.kinds[base(name)] == "" {
				t.Errorf("%s asks for %s, which nobody exports", file, name)
			}
		}
		checked := 0
		for _, query := range selected.FindAllStringSubmatch(text, -1) {
			name := base(query[1])
			for _, m := range matcher.FindAllStringSubmatch(query[2], -1) {
				label, wanted := m[1], strings.Split(m[3], "|")
				if slices.Contains(targetLabels, label) {
					continue
				}
				checked++
				for _, word := range wanted {
					if !slices.Contains(words(name, label), word) {
						t.Errorf("%s: %s never has %s=%q", file, name, label, word)
					}
				}
			}
		}
		if len(names) < 20 || file == "alerts.yaml" && checked < 8 {
			t.Errorf("%s: %d names and %d labels were found: the search is broken", file, len(names), checked)
		}
	}
}

// manifest is as much of a Deployment as is about us.
type manifest struct {
	Kind string
	Spec struct {
		Template struct {
			Spec struct {
				Grace      int `yaml:"terminationGracePeriodSeconds"`
				Containers []struct {
					Args []string
					Env  []struct {
						Name, Value string
						ValueFrom   map[string]struct {
							FieldPath string `yaml:"fieldPath"`
							Key       string
						} `yaml:"valueFrom"`
					}
					Ports []struct {
						Name string
						Port int `yaml:"containerPort"`
					}
					Lifecycle struct {
						PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
					}
				}
			}
		}
	}
}

// What the chart renders is a node that starts, without a warning.
func TestCharts_EveryNodeIsOneThatStarts(t *testing.T) {
	file, err := os.Open("../../k8s/fastport.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var m manifest
	for docs := yaml.NewDecoder(file); m.Kind != "Deployment"; {
		m = manifest{}
		if err := docs.Decode(&m); err != nil {
			t.Fatalf("no Deployment: %v", err)
		}
	}
	spec := m.Spec.Template.Spec
	node := spec.Containers[0]
	secrets := map[string]string{"MASTER_KEY": testMasterKey, "ADMIN_PASS": "d41d8cd98f00b204e9800998", "DB_PASS": "d41d8cd98f00b204", "REDIS_PASS": "e9800998ecf8427e"}
	env := environment{}
	for name, value := range secrets { // envFrom
		if name != "REDIS_PASS" {
			env[name] = value
		}
	}
	var table []string
	for _, s := range new(Config).settings() {
		table = append(table, s.Name)
	}
	for _, v := range node.Env {
		switch {
		case v.ValueFrom["fieldRef"].FieldPath == "status.podIP":
			env[v.Name] = "10.1.2.3"
		case v.ValueFrom["fieldRef"].FieldPath == "metadata.name":
			env[v.Name] = "fastport-7d9c-abcde"
		case v.ValueFrom != nil:
			if env[v.Name] = secrets[v.ValueFrom["secretKeyRef"].Key]; env[v.Name] == "" {
				t.Errorf("%s comes from %v", v.Name, v.ValueFrom)
			}
		default:
			env[v.Name] = strings.ReplaceAll(v.Value, "$(REDIS_PASS)", env["REDIS_PASS"])
		}
		if !slices.Contains(table, v.Name) && v.Name != "REDIS_PASS" && v.Name != "GOMEMLIMIT" {
			t.Errorf("%s is no setting", v.Name)
		}
	}
	c, err := loadFrom(t, nil, env, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("it warns: %q", c.Warnings)
	}
	ports := map[string]int{}
	for _, p := range node.Ports {
		ports[p.Name] = p.Port
	}
	if !c.Cluster() || ports["http"] != c.Port || ports["metrics"] != c.MetricsPort || ports["cluster"] != c.ClusterPort {
		t.Errorf("cluster %v, ports %v, want those of the settings: %d, %d and %d", c.Cluster(), ports, c.Port, c.MetricsPort, c.ClusterPort)
	}
	if c.SessionCreation != creationAdmin || len(c.TrustedProxies) == 0 || c.AdminPass == "" {
		t.Errorf("creation by %s, %d trusted proxies", c.SessionCreation, len(c.TrustedProxies))
	}
	way := time.Duration(node.Lifecycle.PreStop.Sleep.Seconds)*time.Second + c.DrainTimeout
	if grace := time.Duration(spec.Grace) * time.Second; grace <= way {
		t.Errorf("it is killed after %v, within its way out of %v", grace, way)
	}
}
