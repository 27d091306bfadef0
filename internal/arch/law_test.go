package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/fastport/fastport"

// law says which folders of the project a folder may import, besides its own children's parent. A folder that is not
// here may not exist.
var law = map[string][]string{
	"protocol":  {},
	"metrics":   {},
	"storage":   {"protocol"},
	"backplane": {"protocol", "metrics"},
	"session":   {"backplane", "storage", "protocol", "metrics"},
	"gateway":   {"session", "protocol"},
	"dataplane": {"session"},
	"fcm":       {"storage", "backplane", "protocol", "metrics"},
	"api":       {"session", "admin", "backplane", "storage", "protocol", "metrics", "clients/js"},
	"admin":     {"session", "storage", "backplane", "protocol", "metrics"},
	"client":    {"protocol"},
	"clients":   {}, // js: served as it stands, and sees nothing of the server
	"examples":  {"client", "protocol"},
	"verify":    {"client", "protocol", "internal/rig"},
	"internal":  {"deploy"},
	"deploy":    {},
	"charts":    {}, // a module of its own
	"scripts":   {},
	"testdata":  {},
	"cmd":       {"protocol", "storage", "backplane", "session", "gateway", "dataplane", "fcm", "api", "admin", "client", "verify", "internal", "metrics"},
	// The child shows what the others count.
	"metrics/":   {"metrics", "gateway", "session", "fcm", "backplane", "storage", "protocol"},
	"storage/":   {"storage", "protocol"}, // a child: one technology
	"backplane/": {"backplane", "protocol", "metrics"},
	"client/":    {"protocol"}, // e2ee
	"fcm/":       {},           // fcmtest
}

func TestImportsFollowTheLaw(t *testing.T) {
	checked := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "node_modules" || d.Name() == "bench") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel("../..", path)
		if err != nil {
			return err
		}
		checked++
		return checkFile(t, path, filepath.ToSlash(filepath.Dir(rel)))
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 20 {
		t.Fatalf("only %d files were found: the walk is broken", checked)
	}
}

func checkFile(t *testing.T, path, folder string) error {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	top, child, _ := strings.Cut(folder, "/")
	key := top
	if _, ok := law[top+"/"]; ok && child != "" {
		key = top + "/"
	}
	allowed, ok := law[key]
	if !ok {
		t.Errorf("%s: folder %q is not in the import law", path, top)
		return nil
	}
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		inside, ok := strings.CutPrefix(imported, module+"/")
		if !ok {
			if top == "protocol" && strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
				t.Errorf("%s imports %s: protocol takes the standard library only", path, imported)
			}
			continue
		}
		if !mayImport(top, folder, inside, allowed) {
			t.Errorf("%s imports %s: the import law forbids it", path, imported)
		}
	}
	return nil
}

func mayImport(top, folder, inside string, allowed []string) bool {
	if strings.HasPrefix(inside, "client/e2ee") {
		return top == "client" || top == "cmd" || top == "examples" || top == "verify" // its clients seal as others do
	}
	target := strings.SplitN(inside, "/", 2)[0]
	if top == target { // a parent is its children's contract; a parent may hold internals of its own
		return true
	}
	for _, a := range allowed {
		if a == inside {
			return true
		}
		if a == target {
			// Only cmd chooses a technology; everyone else knows the contract.
			return top == "cmd" || inside == a || strings.HasPrefix(folder, a)
		}
	}
	return false
}

// TestLaw_Catches plants violations, so that a law that lets everything pass is noticed.
func TestLaw_Catches(t *testing.T) {
	for _, c := range []struct {
		folder, imports string
		want            bool
	}{
		{"gateway", "client/e2ee", false},
		{"session", "gateway", false},
		{"session", "storage/sqlite", false},
		{"session", "storage", true},
		{"storage/sqlite", "storage", true},
		{"storage/sqlite", "session", false},
		{"protocol", "storage", false},
		{"client", "client/e2ee", true},
		{"client", "session", false},
		{"cmd/fastport", "storage/postgres", true},
		{"session", "metrics", true},
		{"session", "metrics/prometheus", false},
		{"metrics", "session", false},
		{"metrics/prometheus", "session", true},
	} {
		top, child, _ := strings.Cut(c.folder, "/")
		key := top
		if _, ok := law[top+"/"]; ok && child != "" {
			key = top + "/"
		}
		if got := mayImport(top, c.folder, c.imports, law[key]); got != c.want {
			t.Errorf("%s imports %s: allowed = %v, want %v", c.folder, c.imports, got, c.want)
		}
	}
}
