package charts

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/lint"
	apps "k8s.io/api/apps/v1"
	scaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	network "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/scheme"
	security "k8s.io/pod-security-admission/api"
	standards "k8s.io/pod-security-admission/policy"
)

func TestChart_LintHasNothingToSay(t *testing.T) {
	for name, values := range valueSets(t) {
		for _, m := range lint.AllWithKubeVersion(Chart, values, "default", nil).Messages {
			if !strings.Contains(m.Err.Error(), "icon is recommended") {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

func TestChart_PodsPassTheRestrictedStandard(t *testing.T) {
	restricted, err := standards.NewEvaluator(standards.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}
	everyRelease(t, func(t *testing.T, _ map[string]any, all objects) {
		for _, p := range pods(all) {
			if result := standards.AggregateCheckResults(restricted.EvaluatePod(level, &p.meta, &p.spec)); !result.Allowed {
				t.Errorf("%s: %s", p.of.GetName(), result.ForbiddenDetail())
			}
			if p.spec.AutomountServiceAccountToken == nil || *p.spec.AutomountServiceAccountToken {
				t.Errorf("%s is given a service account's token", p.of.GetName())
			}
			for _, c := range append(p.spec.InitContainers, p.spec.Containers...) {
				if s := c.SecurityContext; s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
					t.Errorf("%s/%s may write to its image", p.of.GetName(), c.Name)
				}
				if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
					t.Errorf("%s/%s has no bounds", p.of.GetName(), c.Name)
				}
			}
		}
	})
}

// What points at something must find it: selectors their pods, ports their names, variables their Secret's keys.
func TestChart_PartsFindEachOther(t *testing.T) {
	everyRelease(t, func(t *testing.T, values map[string]any, all objects) {
		matches := func(what string, selector *meta.LabelSelector) (found []pod) {
			s, err := meta.LabelSelectorAsSelector(selector)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range pods(all) {
				if s.Matches(labels.Set(p.label)) {
					found = append(found, p)
				}
			}
			if len(found) != 1 {
				t.Errorf("%s selects %d kinds of pods, want 1", what, len(found))
			}
			return found
		}
		for _, s := range those[*core.Service](all) {
			for _, p := range matches("Service "+s.Name, &meta.LabelSelector{MatchLabels: s.Spec.Selector}) {
				for _, port := range s.Spec.Ports {
					if !slices.ContainsFunc(p.spec.Containers[0].Ports, func(c core.ContainerPort) bool { return c.Name == port.TargetPort.StrVal }) {
						t.Errorf("Service %s sends to port %s, which %s has not", s.Name, port.TargetPort.StrVal, p.of.GetName())
					}
				}
			}
		}
		for _, s := range those[*apps.StatefulSet](all) {
			find[*core.Service](t, all, s.Spec.ServiceName)
			matches("StatefulSet "+s.Name, s.Spec.Selector)
		}
		for _, d := range those[*apps.Deployment](all) {
			matches("Deployment "+d.Name, d.Spec.Selector)
			find[*core.ServiceAccount](t, all, d.Spec.Template.Spec.ServiceAccountName)
			for _, spread := range d.Spec.Template.Spec.TopologySpreadConstraints {
				if spread.TopologyKey == "" || spread.LabelSelector == nil {
					t.Errorf("%+v spreads nothing", spread)
				}
			}
		}
		for _, n := range those[*network.NetworkPolicy](all) {
			matches("NetworkPolicy "+n.Name, &n.Spec.PodSelector)
			if len(n.Spec.PolicyTypes) != 2 {
				t.Errorf("NetworkPolicy %s does not deny both ways by default", n.Name)
			}
			for _, rule := range n.Spec.Egress {
				for _, to := range rule.To {
					if to.PodSelector != nil {
						matches("egress of "+n.Name, to.PodSelector)
					}
				}
			}
		}
		for _, b := range those[*policy.PodDisruptionBudget](all) {
			matches("PodDisruptionBudget "+b.Name, b.Spec.Selector)
		}
		for _, h := range those[*scaling.HorizontalPodAutoscaler](all) {
			if d := find[*apps.Deployment](t, all, h.Spec.ScaleTargetRef.Name); d.Spec.Replicas != nil {
				t.Error("an upgrade would undo what the autoscaler decided: the Deployment says how many")
			}
		}
		for _, i := range those[*network.Ingress](all) {
			for _, rule := range i.Spec.Rules {
				to := rule.HTTP.Paths[0].Backend.Service
				if s := find[*core.Service](t, all, to.Name); s.Spec.Ports[0].Name != to.Port.Name {
					t.Errorf("the Ingress asks for port %s of %s", to.Port.Name, to.Name)
				}
			}
		}
		secrets := map[string]map[string][]byte{}
		for _, s := range those[*core.Secret](all) {
			secrets[s.Name] = s.Data
		}
		for _, p := range pods(all) {
			for _, c := range append(p.spec.InitContainers, p.spec.Containers...) {
				for _, v := range c.Env {
					if v.ValueFrom == nil || v.ValueFrom.SecretKeyRef == nil || len(secrets) == 0 {
						continue
					}
					ref := v.ValueFrom.SecretKeyRef
					if keys, ours := secrets[ref.Name]; ours && keys[ref.Key] == nil {
						t.Errorf("%s: %s is to come from key %s, which the Secret has not", p.of.GetName(), v.Name, ref.Key)
					}
				}
			}
		}
	})
}

func TestChart_GraceIsLongerThanTheWayOut(t *testing.T) {
	everyRelease(t, func(t *testing.T, _ map[string]any, all objects) {
		p := node(t, all)
		stop := p.spec.Containers[0].Lifecycle.PreStop.Sleep.Seconds
		drain, _ := p.env("DRAIN_TIMEOUT")
		var seconds int64
		if _, err := fmt.Sscanf(drain.Value, "%ds", &seconds); err != nil {
			t.Fatalf("DRAIN_TIMEOUT = %q: %v", drain.Value, err)
		}
		if grace := *p.spec.TerminationGracePeriodSeconds; grace < stop+seconds+5 {
			t.Errorf("a node is killed %d s after it was told to go, within its %d s and %d s", grace, stop, seconds)
		}
		if roll := find[*apps.Deployment](t, all, p.of.GetName()).Spec.Strategy.RollingUpdate; roll.MaxUnavailable.IntValue() != 0 {
			t.Errorf("an update may take %v nodes before there are others", roll.MaxUnavailable)
		}
	})
}

// Figures and profiles have a port of their own, and no way in from outside leads there.
func TestChart_FiguresAreOnNoWayInForClients(t *testing.T) {
	everyRelease(t, func(t *testing.T, _ map[string]any, all objects) {
		p := node(t, all)
		if v, ok := p.env("METRICS_PORT"); !ok || v.Value != "9090" {
			t.Errorf("METRICS_PORT = %q: /metrics would be where clients are", v.Value)
		}
		for _, i := range those[*network.Ingress](all) {
			for _, rule := range i.Spec.Rules {
				for _, path := range rule.HTTP.Paths {
					if path.Backend.Service.Port.Name != "http" {
						t.Errorf("the Ingress leads to port %s", path.Backend.Service.Port.Name)
					}
				}
			}
		}
		for _, s := range those[*core.Service](all) {
			for _, port := range s.Spec.Ports {
				if port.Name == "metrics" && s.Spec.ClusterIP != core.ClusterIPNone {
					t.Errorf("Service %s has figures beside clients", s.Name)
				}
			}
		}
	})
}

// What is told who may come as a client must let `helm test` in, too.
func TestChart_ItsOwnTestReachesTheNodes(t *testing.T) {
	everyRelease(t, func(t *testing.T, _ map[string]any, all objects) {
		tests := slices.DeleteFunc(pods(all), func(p pod) bool { return p.label["app.kubernetes.io/component"] != "test" })
		if len(tests) != 1 {
			t.Fatalf("%d pods of tests, want 1", len(tests))
		}
		nodes := labels.Set(node(t, all).label)
		for _, n := range those[*network.NetworkPolicy](all) {
			if s, err := meta.LabelSelectorAsSelector(&n.Spec.PodSelector); err != nil || !s.Matches(nodes) {
				continue
			}
			for _, rule := range n.Spec.Ingress {
				if rule.Ports[0].Port.StrVal != "http" || len(rule.From) == 0 {
					continue // not for clients, or for all of them
				}
				if !slices.ContainsFunc(rule.From, func(from network.NetworkPolicyPeer) bool {
					s, err := meta.LabelSelectorAsSelector(from.PodSelector) // none selects nothing
					return err == nil && s.Matches(labels.Set(tests[0].label))
				}) {
					t.Errorf("NetworkPolicy %s lets %v in, and not the pod of helm test", n.Name, rule.From)
				}
			}
		}
	})
}

// A new version of the chart rolls the nodes, and leaves alone what they keep their state in.
func TestChart_AnotherVersionStartsNoStoreAnew(t *testing.T) {
	all := decode(t, withoutNotes(render(t, Release{Name: "fp"})))
	for _, s := range those[*apps.StatefulSet](all) {
		for key := range s.Spec.Template.Labels {
			if key == "helm.sh/chart" || key == "app.kubernetes.io/version" {
				t.Errorf("%s starts anew with another %s", s.Name, key)
			}
		}
	}
}

func TestChart_DefaultsAreThoseOfABrokerAmongStrangers(t *testing.T) {
	all := decode(t, withoutNotes(render(t, Release{Name: "fp"})))
	p := node(t, all)
	for name, want := range map[string]string{"SESSION_CREATION": "admin", "PORT": "3000", "CLUSTER_PORT": "7400"} {
		if v, _ := p.env(name); v.Value != want {
			t.Errorf("%s = %q, want %q", name, v.Value, want)
		}
	}
	if v, _ := p.env("TRUSTED_PROXIES"); v.Value == "" {
		t.Error("without TRUSTED_PROXIES all clients of an Ingress share one rate limit")
	}
	if *p.spec.EnableServiceLinks {
		t.Error("a Service named db would set DB_PORT")
	}
	if d := those[*apps.Deployment](all)[0]; *d.Spec.Replicas < 2 {
		t.Error("one node cannot go without its clients noticing")
	}
	for name, data := range those[*core.Secret](all)[0].Data {
		if name == "MASTER_KEY" {
			if key, err := base64.StdEncoding.DecodeString(string(data)); err != nil || len(key) != 32 {
				t.Errorf("MASTER_KEY is %d bytes in base64 (%v), want 32", len(key), err)
			}
		} else if len(data) < 24 {
			t.Errorf("%s has %d characters, want 24", name, len(data))
		}
	}
}

// installed is a cluster that holds what an earlier release left.
type installed struct{ client dynamic.Interface }

func (c installed) GetClientFor(apiVersion, kind string) (dynamic.NamespaceableResourceInterface, bool, error) {
	return c.client.Resource(schema.FromAPIVersionAndKind(apiVersion, kind).GroupVersion().WithResource(strings.ToLower(kind) + "s")), true, nil
}

func TestChart_SecretsAreMadeOnceAndKept(t *testing.T) {
	secret := func(r Release) *core.Secret {
		return those[*core.Secret](decode(t, withoutNotes(render(t, r))))[0]
	}
	first, other := secret(Release{Name: "fp"}), secret(Release{Name: "fp"})
	for key := range first.Data {
		if string(first.Data[key]) == string(other.Data[key]) {
			t.Errorf("two installs have the same %s", key)
		}
	}
	if first.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Error("an uninstall takes the key along that its volume is opened with")
	}
	kept := first.DeepCopy()
	kept.Namespace = "default"
	was := installed{fake.NewSimpleDynamicClient(scheme.Scheme, runtime.Object(kept))}
	upgraded := secret(Release{Name: "fp", Upgrade: true, Installed: was})
	for key, value := range first.Data {
		if string(upgraded.Data[key]) != string(value) {
			t.Errorf("an upgrade changes %s", key)
		}
	}
	given := map[string]any{"masterKey": "3q2+78r+ur4AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhc=", "admin": map[string]any{"password": "given by the operator"}}
	changed := secret(Release{Name: "fp", Upgrade: true, Installed: was, Values: given})
	if string(changed.Data["MASTER_KEY"]) != given["masterKey"] || string(changed.Data["ADMIN_PASS"]) != "given by the operator" {
		t.Error("what the values give does not go before what was made")
	}
	if string(changed.Data["DB_PASS"]) != string(first.Data["DB_PASS"]) {
		t.Error("a new key brings a new DB_PASS along, which Postgres does not know")
	}
}

// Turning autoscaling on takes the number of nodes out of the values; Kubernetes takes none for one.
func TestChart_AutoscalingBeginsWithTheNodesThatAreThere(t *testing.T) {
	r := Release{Name: "fp", Upgrade: true, Values: map[string]any{"autoscaling": map[string]any{"enabled": true}}}
	deployment := func() *apps.Deployment { return those[*apps.Deployment](decode(t, withoutNotes(render(t, r))))[0] }
	was := deployment()
	if was.Spec.Replicas != nil {
		t.Errorf("%d nodes where nobody can be asked: it would undo what the autoscaler decided", *was.Spec.Replicas)
	}
	now := int32(5)
	was.Namespace, was.Spec.Replicas = "default", &now
	r.Installed = installed{fake.NewSimpleDynamicClient(scheme.Scheme, runtime.Object(was))}
	if n := deployment().Spec.Replicas; n == nil || *n != now {
		t.Errorf("replicas = %v, want the %d that are there", n, now)
	}
}

// An upgrade with the same values starts no node again, and one with another secret starts all.
func TestChart_NodesStartAgainForAnotherSecretAlone(t *testing.T) {
	template := func(values map[string]any) string {
		d := those[*apps.Deployment](decode(t, withoutNotes(render(t, Release{Name: "fp", Values: values}))))[0]
		text, err := json.Marshal(d.Spec.Template)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	first, again := template(nil), template(nil)
	if first != again {
		t.Error("two renderings of the same values differ: every upgrade would restart all nodes")
	}
	if first == template(map[string]any{"admin": map[string]any{"password": "another long one"}}) {
		t.Error("another password restarts no node")
	}
}

func withoutNotes(files map[string]string) map[string]string {
	delete(files, "NOTES.txt")
	return files
}

func TestChart_NotesHoldNoSecret(t *testing.T) {
	notes := render(t, Release{Name: "fp", Values: valueSets(t)["production"]})["NOTES.txt"]
	if !strings.Contains(notes, "https://fastport.example.com") || !strings.Contains(notes, "MASTER KEY") {
		t.Errorf("the notes lack the address or the key's warning:\n%s", notes)
	}
	for _, secret := range []string{"hunter22", "a long sentence", "3q2+78r+"} {
		if strings.Contains(notes, secret) {
			t.Errorf("the notes hold %q", secret)
		}
	}
}

func TestChart_RefusesWhatCannotRun(t *testing.T) {
	for name, c := range map[string]struct {
		values map[string]any
		says   string
	}{
		"a typing error":            {map[string]any{"replica": 3}, "replica"},
		"a setting that is none":    {map[string]any{"config": map[string]any{"SESION_CREATION": "admin"}}, "SESION_CREATION"},
		"a setting of the chart's":  {map[string]any{"config": map[string]any{"METRICS_PORT": "80"}}, "METRICS_PORT"},
		"a secret as a setting":     {map[string]any{"config": map[string]any{"ADMIN_PASS": "in the open, here"}}, "ADMIN_PASS"},
		"a short password":          {map[string]any{"admin": map[string]any{"password": "short"}}, "password"},
		"a key of another length":   {map[string]any{"masterKey": "c2hvcnQ="}, "masterKey"},
		"no Postgres":               {map[string]any{"postgres": map[string]any{"own": false}}, "postgres.own is false"},
		"no Redis":                  {map[string]any{"redis": map[string]any{"own": false}}, "redis.own is false"},
		"Redis of another protocol": {map[string]any{"redis": map[string]any{"own": false, "url": "http://redis"}}, "url"},
	} {
		if _, err := Render(Chart, Release{Name: "fp", Values: c.values}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error = %v, want one about %s", name, err, c.says)
		}
	}
}

// Large numbers come out of YAML as floats.
func TestChart_NumbersReachTheBrokerAsTheyWereWritten(t *testing.T) {
	p := node(t, decode(t, withoutNotes(render(t, Release{Name: "fp", Values: valueSets(t)["production"]}))))
	for name, want := range map[string]string{"MAX_PAYLOAD_SIZE": "10485760", "MAX_CONNECTIONS": "200000", "COMPRESSION": "false"} {
		if v, _ := p.env(name); v.Value != want {
			t.Errorf("%s = %q, want %q", name, v.Value, want)
		}
	}
}

var settingRow = regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\| (`--|none)")

// The schema's list of settings is the one of docs/configuration.md, without secrets and what the chart sets itself.
func TestChart_TakesEverySettingThatIsThere(t *testing.T) {
	doc, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	own := []string{"HOST", "PORT", "METRICS_PORT", "CLUSTER_PORT", "CLUSTER_ADDRESS", "NODE_ID", "DRAIN_TIMEOUT", "DRAIN_DELAY",
		"ADMIN_USER", "DB_TYPE", "SQLITE_PATH", "MASTER_KEY_FILE"}
	var want []string
	for _, row := range settingRow.FindAllStringSubmatch(string(doc), -1) {
		if row[2] != "none" && !slices.Contains(own, row[1]) { // what has no flag is a secret
			want = append(want, row[1])
		}
	}
	slices.Sort(want)
	config := property(t, readYAML(t, Chart+"/values.schema.json"), "properties", "config", "propertyNames")
	var got []string
	for _, name := range config["enum"].([]any) {
		got = append(got, name.(string))
	}
	if !slices.Equal(got, want) {
		t.Errorf("values.schema.json takes in config\n%q, and docs/configuration.md has\n%q", got, want)
	}
}

func property(t *testing.T, in map[string]any, path ...string) map[string]any {
	t.Helper()
	for _, name := range path {
		next, ok := in[name].(map[string]any)
		if !ok {
			t.Fatalf("there is no %s", strings.Join(path, "."))
		}
		in = next
	}
	return in
}

// values.yaml is where people look: what it does not have nobody finds, and what the schema does not have is not checked.
func TestChart_SchemaAndValuesNameTheSame(t *testing.T) {
	var compare func(path string, values, properties map[string]any)
	compare = func(path string, values, properties map[string]any) {
		for name := range properties {
			if _, ok := values[name]; !ok && path+name != "global" {
				t.Errorf("%s%s is in the schema and not in values.yaml", path, name)
			}
		}
		for name, value := range values {
			inner, ok := properties[name].(map[string]any)
			if !ok {
				t.Errorf("%s%s is in values.yaml and not in the schema", path, name)
				continue
			}
			more, isMap := value.(map[string]any)
			if below, ok := inner["properties"].(map[string]any); ok && isMap {
				compare(path+name+".", more, below)
			}
		}
	}
	compare("", readYAML(t, Chart+"/values.yaml"), property(t, readYAML(t, Chart+"/values.schema.json"), "properties"))
}

func TestPlain_IsTheChartRendered(t *testing.T) {
	want, err := Plain(Chart)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("../k8s")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := want[e.Name()]; !ok && e.Name() != "README.md" {
			t.Errorf("k8s/%s is none of the chart's", e.Name())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got, err := os.ReadFile("../k8s/" + name); err != nil || string(got) != want[name] {
			t.Errorf("k8s/%s is not what the chart renders (%v): run `make k8s`", name, err)
		}
	}
	decode(t, want)
}
