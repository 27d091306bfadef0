// Package dart_test reads the Dart SDK where there is no Dart: a parser and the names in its trees tell of slips that would keep it from
// compiling, not whether it works. The SDK's own tests, in test/, need a Dart SDK.
package dart_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const library = "lib/fastport_client.dart"

// source is what tool/outline.js tells of a file, or of one block of a text.
type source struct {
	Name   string
	Line   int
	Errors []struct {
		Line       int
		What, Text string
	}
	Imports, Exports []directive
	Declares, Uses   []string
	Members          map[string]map[string][]string // by class: a method's parameters
}

type directive struct {
	URI        string
	Conditions []struct{ Library, URI string }
	Show       []string
	Prefix     string
}

// uris names every file that a directive may mean.
func (d directive) uris() []string {
	all := []string{d.URI}
	for _, c := range d.Conditions {
		all = append(all, c.URI)
	}
	return all
}

// uri names the one that it means where there is dart:io, or where there is none.
func (d directive) uri(io bool) string {
	for _, c := range d.Conditions {
		if io && c.Library == "dart.library.io" {
			return c.URI
		}
	}
	return d.URI
}

// read is the whole package, read once for all tests.
var read = sync.OnceValues(func() ([]source, error) {
	all, err := files("lib", "test", "example", "../../examples/flutter")
	if err != nil {
		return nil, err
	}
	return outline(append(all, "README.md", "../../examples/flutter/README.md")...)
})

// dart is what was read of the package's own files.
func dart(t *testing.T) []source {
	t.Helper()
	all, err := read()
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(slices.Clone(all), func(s source) bool { return strings.HasPrefix(s.Name, "..") || strings.HasSuffix(s.Name, ".md") })
}

func TestMain(m *testing.M) {
	if out, err := install(); err != nil {
		fmt.Fprintf(os.Stderr, "npm ci: %v\n%s", err, out)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// install has npm bring the parser that the lock file names, unless it is there.
func install() ([]byte, error) {
	lock, err := os.Stat("tool/package-lock.json")
	if err != nil {
		return nil, err
	}
	if done, err := os.Stat("tool/node_modules/.package-lock.json"); err == nil && !done.ModTime().Before(lock.ModTime()) {
		return nil, nil
	}
	return exec.Command("npm", "ci", "--prefix", "tool", "--ignore-scripts", "--no-audit", "--no-fund").CombinedOutput()
}

// outline reads files with the parser.
func outline(files ...string) (sources []source, err error) {
	cmd := exec.Command("node", append([]string{"tool/outline.js"}, files...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("outline.js: %w", err)
	}
	err = json.Unmarshal(out, &sources)
	return sources, err
}

// files lists the Dart in folders.
func files(dirs ...string) (found []string, err error) {
	for _, dir := range dirs {
		before := len(found)
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && strings.HasSuffix(path, ".dart") {
				found = append(found, filepath.ToSlash(path))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(found) == before {
			return nil, fmt.Errorf("%s: there is no Dart", dir)
		}
	}
	return found, nil
}

func TestSDK_EveryFileParses(t *testing.T) {
	all, err := read()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		for _, e := range s.Errors {
			t.Errorf("%s:%d: %s: %q", s.Name, e.Line, e.What, e.Text)
		}
	}
}

// TestParser_TellsAnError: a parser that took everything would make of the tests here so much air.
func TestParser_TellsAnError(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for name, text := range map[string]string{
		"brace.dart":    "void main() {\n  print('a');\n",
		"call.dart":     "void main() {\n  print('a' 'b', );\n  final x = (1;\n}\n",
		"class.dart":    "class A {\n  int get => 1;\n}\n",
		"arguments.md":  "```dart\nawait client.emit('a' 'b' c);\n```\n",
		"unclosed.dart": "final a = 'b;\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	sources, err := outline(paths...)
	if err != nil || len(sources) != len(paths) {
		t.Fatalf("%d of %d were read: %v", len(sources), len(paths), err)
	}
	for _, s := range sources {
		if len(s.Errors) == 0 {
			t.Errorf("%s: no error was found", filepath.Base(s.Name))
		}
	}
}

var dependency = regexp.MustCompile(`(?m)^  (\w+): `)

// TestSDK_ImportsResolve: every import is a file that is there, a part of Dart, or a package that pubspec.yaml asks for, and what it
// shows is declared there.
func TestSDK_ImportsResolve(t *testing.T) {
	pubspec, err := os.ReadFile("pubspec.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(pubspec), "\ndependencies:\n")
	runs, tests, _ := strings.Cut(after, "\ndev_dependencies:\n")
	asked := map[string]bool{} // true: by the package itself
	for _, m := range dependency.FindAllStringSubmatch(tests, -1) {
		asked[m[1]] = false
	}
	for _, m := range dependency.FindAllStringSubmatch(runs, -1) {
		asked[m[1]] = true
	}
	sources := dart(t)
	declares := map[string][]string{}
	for _, s := range sources {
		declares[s.Name] = s.Declares
	}
	used := map[string]bool{}
	for _, s := range sources {
		for _, d := range append(s.Imports, s.Exports...) {
			for _, uri := range d.uris() {
				name, isPackage := strings.CutPrefix(uri, "package:")
				name, _, _ = strings.Cut(name, "/")
				switch {
				case strings.HasPrefix(uri, "dart:"):
				case isPackage && name == "fastport_client":
					if uri != "package:fastport_client/fastport_client.dart" && !strings.HasPrefix(s.Name, "test/") {
						t.Errorf("%s imports %s, which is not for others", s.Name, uri)
					}
					for _, shown := range d.Show {
						if !slices.Contains(declares["lib"+strings.TrimPrefix(uri, "package:fastport_client")], shown) {
							t.Errorf("%s: %s declares no %s", s.Name, uri, shown)
						}
					}
				case isPackage:
					own, ok := asked[name]
					if !ok || !own && strings.HasPrefix(s.Name, "lib/") {
						t.Errorf("%s imports %s, which pubspec.yaml does not ask for", s.Name, uri)
					}
					used[name] = true
				default:
					target := resolve(s.Name, uri)
					if _, err := os.Stat(target); err != nil {
						t.Errorf("%s imports %s: %v", s.Name, uri, err)
					}
					for _, shown := range d.Show {
						if !slices.Contains(declares[target], shown) {
							t.Errorf("%s: %s declares no %s", s.Name, uri, shown)
						}
					}
				}
			}
		}
	}
	for name := range asked {
		if !used[name] && name != "lints" {
			t.Errorf("pubspec.yaml asks for %s, and nothing imports it", name)
		}
	}
}

// resolve makes an address in a file of the package a path.
func resolve(from, uri string) string {
	if name, ok := strings.CutPrefix(uri, "package:fastport_client/"); ok {
		return "lib/" + name
	}
	return filepath.ToSlash(filepath.Join(filepath.Dir(from), uri))
}

// reach follows the imports of the library, as they are where there is dart:io or where there is none.
func reach(sources map[string]source, io bool) map[string]bool {
	reached, queue := map[string]bool{}, []string{library}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if reached[name] {
			continue
		}
		reached[name] = true
		for _, d := range append(sources[name].Imports, sources[name].Exports...) {
			switch uri := d.uri(io); {
			case strings.HasPrefix(uri, "dart:"):
				reached[uri] = true
			case strings.HasPrefix(uri, "package:") && !strings.HasPrefix(uri, "package:fastport_client/"):
			default:
				queue = append(queue, resolve(name, uri))
			}
		}
	}
	return reached
}

func byName(sources []source) map[string]source {
	m := map[string]source{}
	for _, s := range sources {
		m[s.Name] = s
	}
	return m
}

// TestSDK_WebSeesNoIO: what Flutter compiles for browsers reaches neither dart:io nor its like, and elsewhere no file lies idle.
func TestSDK_WebSeesNoIO(t *testing.T) {
	sources := byName(dart(t))
	web, disk := reach(sources, false), reach(sources, true)
	for _, barred := range []string{"dart:io", "dart:ffi", "dart:isolate", "dart:mirrors", "dart:html", "dart:js"} {
		if web[barred] {
			t.Errorf("the library reaches %s on the web", barred)
		}
	}
	if !disk["dart:io"] {
		t.Error("the library does not reach dart:io where it is: files have no disk")
	}
	for name := range sources {
		if strings.HasPrefix(name, "lib/") && !web[name] && !disk[name] {
			t.Errorf("%s: nothing imports it", name)
		}
	}
}

// TestSDK_NamesAreInReach: a type of the package is used only where it is declared or imported, and no import of one of its files is for
// nothing. Where the other names come from, values and functions, is for the analyzer.
func TestSDK_NamesAreInReach(t *testing.T) {
	sources := byName(dart(t))
	at := map[string][]string{} // by type: where it is declared
	for _, s := range sources {
		for _, name := range s.Declares {
			if name[0] >= 'A' && name[0] <= 'Z' {
				at[name] = append(at[name], s.Name)
			}
		}
	}
	for _, s := range sources {
		offers := map[string]bool{} // what the imports bring
		for _, d := range s.Imports {
			if strings.HasPrefix(d.URI, "package:") && !strings.HasPrefix(d.URI, "package:fastport_client/") || strings.HasPrefix(d.URI, "dart:") {
				continue
			}
			brings := exported(sources, resolve(s.Name, d.URI), d.Show)
			wanted := d.Prefix != ""
			for name := range brings {
				offers[name] = true
				wanted = wanted || slices.Contains(s.Uses, name)
			}
			if !wanted && !bringsExtension(resolve(s.Name, d.URI)) {
				t.Errorf("%s imports %s for nothing", s.Name, d.URI)
			}
		}
		for _, name := range s.Uses {
			if declared := at[name]; len(declared) > 0 && !slices.Contains(declared, s.Name) && !offers[name] {
				t.Errorf("%s uses %s of %s, and does not import it", s.Name, name, declared[0])
			}
		}
	}
}

// exported lists what a file brings to those who import it: what it declares and what it exports.
func exported(sources map[string]source, name string, show []string) map[string]bool {
	brings := map[string]bool{}
	add := func(names []string, show []string) {
		for _, n := range names {
			if show == nil || slices.Contains(show, n) {
				brings[n] = true
			}
		}
	}
	add(sources[name].Declares, show)
	for _, d := range sources[name].Exports {
		for inner := range exported(sources, resolve(name, d.URI), d.Show) {
			add([]string{inner}, show)
		}
	}
	return brings
}

// bringsExtension: an extension's members are used, not its name.
func bringsExtension(name string) bool {
	text, err := os.ReadFile(name)
	return err == nil && regexp.MustCompile(`(?m)^extension `).Match(text)
}

// TestSDK_HasTheCallsOfTheFirstClient: names and parameters that programs written for it use.
func TestSDK_HasTheCallsOfTheFirstClient(t *testing.T) {
	members := byName(dart(t))["lib/src/client.dart"].Members["FastPort"]
	for name, parameters := range map[string]string{
		"FastPort":             "serverUrl sessionName password aesKey",
		"init":                 "",
		"get":                  "topic handler",
		"emit":                 "topic data",
		"unsubscribe":          "topic",
		"sendFile":             "source topic",
		"onFile":               "topic handler",
		"registerFCMToken":     "userId fcmToken deviceId platform",
		"unregisterFCMToken":   "userId deviceId",
		"getRegisteredDevices": "userId",
		"close":                "",
	} {
		got, ok := members[name]
		want := strings.Fields(parameters)
		if !ok || len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
			t.Errorf("%s takes %v, want %v first", name, got, want)
		}
	}
	text, err := os.ReadFile("lib/src/client.dart")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"int retryInterval = 5000,", "int maxRetries = 100,"} {
		if !strings.Contains(string(text), line) {
			t.Errorf("the constructor has no %q", line)
		}
	}
	neverCached(t)
}

// neverCached has `go test` run this again each time: it does not see what the parser reads. A file of this module that was read right after
// it was written does that.
func neverCached(t *testing.T) {
	t.Helper()
	name := filepath.Join("tool", "node_modules", ".tested")
	if err := os.WriteFile(name, []byte(time.Now().Format(time.RFC3339Nano)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(name); err != nil {
		t.Fatal(err)
	}
}
