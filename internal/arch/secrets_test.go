package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// secretName is what a variable that holds a secret ends with, here.
var secretName = regexp.MustCompile(`(?i)(pass|password|secret|secretkey|secrethash|token|tokenhash|mac|credential|credentials)$`)

// TestSecrets_AreComparedInConstantTimeOnly: outside tests nobody compares what is named as a secret with == or
// bytes.Equal, whose time tells how much was right. A comparison with nothing, or with an example of the documents,
// tells nothing.
func TestSecrets_AreComparedInConstantTimeOnly(t *testing.T) {
	checked := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch d.Name() {
			case ".git", "node_modules", "bench", "testdata", "storagetest":
				return filepath.SkipDir
			case "gateway": // sees no secret, and has tokens of another kind
				return filepath.SkipDir
			}
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		checked++
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			return err
		}
		for _, at := range leakyComparisons(f) {
			t.Errorf("%s: a secret is compared in a time that depends on it: use crypto/subtle", files.Position(at))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 100 {
		t.Fatalf("only %d files were found: the walk is broken", checked)
	}
}

func TestSecrets_ComparisonsAreFound(t *testing.T) {
	for text, leaks := range map[string]int{
		`given == s.secret`: 1, `bytes.Equal(r.SecretHash, h)`: 1, `strings.EqualFold(token, c.Pass)`: 1, `string(password) != want`: 1, `h[:1] == l.TokenHash[:1]`: 1,
		`pass == ""`: 0, `token != nil`: 0, `len(token) != 64`: 0, `pass == "admin_password"`: 0, `name == other`: 0, `n == passes`: 0,
		`subtle.ConstantTimeCompare(secret, given) == 1`: 0,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "", "package p\nvar _ = "+text, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(leakyComparisons(f)); got != leaks {
			t.Errorf("%s: %d leaks were found, want %d", text, got, leaks)
		}
	}
}

func leakyComparisons(f *ast.File) (found []token.Pos) {
	check := func(at token.Pos, a, b ast.Expr) {
		if (isSecret(a) || isSecret(b)) && !isConstant(a) && !isConstant(b) {
			found = append(found, at)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op == token.EQL || n.Op == token.NEQ {
				check(n.Pos(), n.X, n.Y)
			}
		case *ast.CallExpr:
			if called, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) == 2 {
				switch called.Sel.Name {
				case "Equal", "EqualFold", "Compare", "DeepEqual":
					check(n.Pos(), n.Args[0], n.Args[1])
				}
			}
		}
		return true
	})
	return found
}

// isSecret goes by the name, below slices and conversions.
func isSecret(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return secretName.MatchString(e.Name)
	case *ast.SelectorExpr:
		return secretName.MatchString(e.Sel.Name)
	case *ast.SliceExpr:
		return isSecret(e.X)
	case *ast.IndexExpr:
		return isSecret(e.X)
	case *ast.ParenExpr:
		return isSecret(e.X)
	case *ast.StarExpr:
		return isSecret(e.X)
	case *ast.CallExpr: // a conversion, or Reveal
		if called, ok := e.Fun.(*ast.SelectorExpr); ok {
			return called.Sel.Name == "Reveal" && isSecret(called.X)
		}
		kind, ok := e.Fun.(*ast.Ident)
		return (!ok || kind.Name == "string") && len(e.Args) == 1 && isSecret(e.Args[0])
	}
	return false
}

func isConstant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil"
	}
	return false
}

// TestDocs_E2EESaysWhatIsNotPromised: what the server still learns, that members are not told apart, that there is no
// forward secrecy, and what suite 1 is worth.
func TestDocs_E2EESaysWhatIsNotPromised(t *testing.T) {
	doc, err := os.ReadFile("../../docs/e2ee.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ToLower(strings.Join(strings.Fields(string(doc)), " "))
	_, learns, found := strings.Cut(text, "## what the server still learns")
	if !found {
		t.Fatal("docs/e2ee.md does not say what the server still learns")
	}
	learns, gives, _ := strings.Cut(learns, "## what it does not give")
	for _, w := range []string{"topics", "size", "when", "message ids", "user ids", "client ids"} {
		if !strings.Contains(learns, w) {
			t.Errorf("what the server learns: no word of %q", w)
		}
	}
	for _, w := range []string{"any member can write as another", "no forward secrecy"} {
		if !strings.Contains(gives, w) {
			t.Errorf("what it does not give: no word of %q", w)
		}
	}
	for _, w := range []string{"the hash is not keyed", "nothing is bound", "padding", "refuse keys that anyone would guess", "counting"} {
		if !strings.Contains(text, w) {
			t.Errorf("no word of %q", w)
		}
	}
}

// floors are the oldest versions without known holes of dependencies that stand at a border of trust.
var floors = map[string]string{"github.com/jackc/pgx/v5": "v5.9.2", "github.com/redis/go-redis/v9": "v9.5.5"}

func TestDependencies_AreNotOlderThanTheirFixes(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mod)) {
		words := strings.Fields(line)
		if len(words) < 2 || floors[words[0]] == "" {
			continue
		}
		if older(words[1], floors[words[0]]) {
			t.Errorf("%s is %s, want %s or newer", words[0], words[1], floors[words[0]])
		}
	}
	if !older("v5.9.1", "v5.9.2") || !older("v5.8.9", "v5.9.2") || older("v5.12.0", "v5.9.2") || older("v5.9.2", "v5.9.2") {
		t.Error("versions are compared wrongly")
	}
}

// older compares two versions of the form v1.2.3.
func older(a, b string) bool {
	as, bs := strings.Split(a[1:], "."), strings.Split(b[1:], ".")
	for i := range min(len(as), len(bs)) {
		x, y := as[i], bs[i]
		if len(x) != len(y) {
			return len(x) < len(y)
		}
		if x != y {
			return x < y
		}
	}
	return false
}
