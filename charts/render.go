// Package charts renders the Helm chart in this folder: for k8s, which holds the same without Helm, and for its tests.
//
// It is a module of its own, so that nothing of Helm's or Kubernetes's is among what the broker is made of.
package charts

import (
	"maps"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

// Chart is the chart's folder, from this one.
const Chart = "fastport"

// monitoringAPIs are what a cluster with the Prometheus Operator has.
var monitoringAPIs = []string{"monitoring.coreos.com/v1/ServiceMonitor", "monitoring.coreos.com/v1/PrometheusRule"}

// Release is what the chart is rendered for.
type Release struct {
	Name      string
	Upgrade   bool
	Values    map[string]any        // over those of values.yaml
	Operator  bool                  // the cluster has the Prometheus Operator
	Installed engine.ClientProvider // what `lookup` finds; nil: nothing
}

// Render renders the chart in folder, and returns the templates' texts by file name. Values that the chart's schema
// does not take are an error.
func Render(folder string, r Release) (map[string]string, error) {
	c, err := loader.LoadDir(folder)
	if err != nil {
		return nil, err
	}
	caps := chartutil.DefaultCapabilities.Copy()
	if r.Operator {
		caps.APIVersions = append(caps.APIVersions, monitoringAPIs...)
	}
	options := chartutil.ReleaseOptions{Name: r.Name, Namespace: "default", Revision: 1, IsInstall: !r.Upgrade, IsUpgrade: r.Upgrade}
	values, err := chartutil.ToRenderValues(c, r.Values, options, caps)
	if err != nil {
		return nil, err
	}
	var files map[string]string
	if r.Installed != nil {
		files, err = engine.RenderWithClientProvider(c, values, r.Installed)
	} else {
		files, err = engine.Render(c, values)
	}
	if err != nil {
		return nil, err
	}
	rendered := make(map[string]string, len(files))
	for name, text := range files {
		if text = strings.TrimSpace(text); text != "" {
			rendered[strings.TrimPrefix(name, c.Name()+"/templates/")] = text + "\n"
		}
	}
	return rendered, nil
}

// Plain renders what stands in k8s, by file name.
func Plain(folder string) (map[string]string, error) {
	values := map[string]any{"existingSecret": "fastport", "ingress": map[string]any{"enabled": true}}
	rendered, err := Render(folder, Release{Name: "fastport", Values: values})
	if err != nil {
		return nil, err
	}
	operator, err := Render(folder, Release{Name: "fastport", Values: values, Operator: true})
	if err != nil {
		return nil, err
	}
	rendered["monitoring.yaml"] = operator["monitoring.yaml"]
	plain := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		to, wanted := plainFile(name)
		if !wanted {
			continue
		}
		if plain[to] == "" {
			plain[to] = plainHeads[to] + "# Rendered from charts/fastport by `make k8s`: change it there.\n"
		}
		plain[to] += "---\n" + withoutHelm(rendered[name])
	}
	return plain, nil
}

// plainHeads tell what each file is for.
var plainHeads = map[string]string{
	"fastport.yaml":       "# The nodes of a fastPort cluster, and clients' way to them. README.md beside it says what to do first.\n",
	"redis-postgres.yaml": "# A small Redis and a small Postgres for trying it out.\n",
	"monitoring.yaml":     "# For clusters with the Prometheus Operator and Grafana's sidecar: whom to scrape, alerts, and a dashboard.\n",
}

// plainFile is where a template's text goes.
func plainFile(template string) (name string, wanted bool) {
	switch template {
	case "redis.yaml", "postgres.yaml":
		return "redis-postgres.yaml", true
	case "monitoring.yaml":
		return template, true
	case "NOTES.txt":
		return "", false
	}
	return "fastport.yaml", path.Dir(template) == "." // not the chart's tests
}

// withoutHelm leaves out the lines that say Helm is at work.
func withoutHelm(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, " helm.sh/chart:") && !strings.Contains(line, " app.kubernetes.io/managed-by:") {
			b.WriteString(line)
		}
	}
	return b.String()
}
