package charts

import (
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	sigs "sigs.k8s.io/yaml"
)

// object is what a manifest says, as Kubernetes reads it.
type object interface {
	runtime.Object
	meta.Object
}

// objects are a release's.
type objects []object

// valueSets are the folder testdata's, by name.
func valueSets(t *testing.T) map[string]map[string]any {
	t.Helper()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	sets := make(map[string]map[string]any)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.yaml") {
			continue // promtool's
		}
		sets[strings.TrimSuffix(filepath.Base(file), ".yaml")] = readYAML(t, file)
	}
	if len(sets) < 4 {
		t.Fatalf("%d sets of values: the search is broken", len(sets))
	}
	return sets
}

func readYAML(t *testing.T, file string) (values map[string]any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := sigs.UnmarshalStrict(text, &values); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return values
}

// everyRelease runs a test for each set of values, in a cluster with the Prometheus Operator and in one without.
func everyRelease(t *testing.T, test func(t *testing.T, values map[string]any, all objects)) {
	for name, values := range valueSets(t) {
		for _, operator := range []bool{false, true} {
			t.Run(name+map[bool]string{true: "+operator"}[operator], func(t *testing.T) {
				rendered := render(t, Release{Name: "fp", Values: values, Operator: operator})
				delete(rendered, "NOTES.txt")
				test(t, values, decode(t, rendered))
			})
		}
	}
}

func render(t *testing.T, r Release) map[string]string {
	t.Helper()
	rendered, err := Render(Chart, r)
	if err != nil {
		t.Fatal(err)
	}
	return rendered
}

// decode reads manifests as an API server does that refuses every field it does not know.
func decode(t *testing.T, files map[string]string) (all objects) {
	t.Helper()
	kinds := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, monitoring.AddToScheme} {
		if err := add(kinds); err != nil {
			t.Fatal(err)
		}
	}
	strict := serializer.NewCodecFactory(kinds, serializer.EnableStrict).UniversalDeserializer()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for docs := yaml.NewDocumentDecoder(io.NopCloser(strings.NewReader(files[name]))); ; {
			doc := make([]byte, 1<<20)
			n, err := docs.Read(doc)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if onlyComments(string(doc[:n])) {
				continue
			}
			decoded, _, err := strict.Decode(doc[:n], nil, nil)
			if err != nil {
				t.Errorf("%s: %v\n%s", name, err, doc[:n])
				continue
			}
			all = append(all, decoded.(object))
		}
	}
	return all
}

func onlyComments(doc string) bool {
	for line := range strings.Lines(doc) {
		if line = strings.TrimSpace(line); line != "" && line != "---" && !strings.HasPrefix(line, "#") {
			return false
		}
	}
	return true
}

// find is the object of that type and name, which must be there.
func find[T object](t *testing.T, all objects, name string) (found T) {
	t.Helper()
	for _, o := range all {
		if it, ok := o.(T); ok && it.GetName() == name {
			return it
		}
	}
	t.Fatalf("there is no %T %s", found, name)
	return found
}

// those are the objects of a type.
func those[T object](all objects) (found []T) {
	for _, o := range all {
		if it, ok := o.(T); ok {
			found = append(found, it)
		}
	}
	return found
}

// pod is what makes pods, or is one.
type pod struct {
	of    object
	meta  meta.ObjectMeta
	spec  core.PodSpec
	label map[string]string
}

func pods(all objects) (found []pod) {
	for _, o := range all {
		switch o := o.(type) {
		case *apps.Deployment:
			found = append(found, pod{o, o.Spec.Template.ObjectMeta, o.Spec.Template.Spec, o.Spec.Template.Labels})
		case *apps.StatefulSet:
			found = append(found, pod{o, o.Spec.Template.ObjectMeta, o.Spec.Template.Spec, o.Spec.Template.Labels})
		case *core.Pod:
			found = append(found, pod{o, o.ObjectMeta, o.Spec, o.Labels})
		}
	}
	return found
}

// node is the broker's own pod.
func node(t *testing.T, all objects) pod {
	t.Helper()
	for _, p := range pods(all) {
		if p.label["app.kubernetes.io/component"] == "node" {
			return p
		}
	}
	t.Fatal("there are no nodes")
	return pod{}
}

func (p pod) env(name string) (v core.EnvVar, ok bool) {
	vars := p.spec.Containers[0].Env
	i := slices.IndexFunc(vars, func(v core.EnvVar) bool { return v.Name == name })
	if i < 0 {
		return v, false
	}
	return vars[i], true
}

func TestChart_EveryObjectIsOneThatKubernetesKnows(t *testing.T) {
	everyRelease(t, func(t *testing.T, _ map[string]any, all objects) {
		if len(all) < 5 {
			t.Fatalf("%d objects: the rendering is broken", len(all))
		}
		seen := map[string]bool{}
		for _, o := range all {
			kind := o.GetObjectKind().GroupVersionKind()
			name := kind.Kind + " " + o.GetName()
			if seen[name] {
				t.Errorf("there are two of %s", name)
			}
			seen[name] = true
			for _, fault := range validation.IsDNS1035Label(o.GetName()) {
				t.Errorf("%s: %s", name, fault)
			}
			if o.GetNamespace() != "" {
				t.Errorf("%s names a namespace: that is --namespace's affair", name)
			}
			for key, value := range o.GetLabels() {
				for _, fault := range append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...) {
					t.Errorf("%s: label %s=%s: %s", name, key, value, fault)
				}
			}
		}
	})
}
