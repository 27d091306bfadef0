package protocol

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestDoc_NamesEveryTypeFieldAndCode(t *testing.T) {
	b, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	for k := TypeInit; int(k) < len(typeNames); k++ {
		if !strings.Contains(doc, "`"+k.String()+"`") {
			t.Errorf("docs/protocol.md has no type `%s`", k)
		}
	}
	for f := fieldType; int(f) < len(fieldTable); f++ {
		if !strings.Contains(doc, "`"+f.String()+"`") {
			t.Errorf("docs/protocol.md has no field `%s`", f)
		}
	}
	for _, code := range constants(t, "Code") {
		if !strings.Contains(doc, "\n| `"+code+"` |") {
			t.Errorf("docs/protocol.md has no row for the code `%s`", code)
		}
	}
	for _, code := range constants(t, "CloseCode") {
		if !strings.Contains(doc, "\n| "+code+" |") {
			t.Errorf("docs/protocol.md has no row for the close code %s", code)
		}
	}
}

// constants is the values of codes.go's constants of a type, read from the source so that none can be forgotten here.
func constants(t *testing.T, typeName string) (values []string) {
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != typeName {
			return true
		}
		for _, v := range spec.Values {
			text := v.(*ast.BasicLit).Value
			if s, err := strconv.Unquote(text); err == nil {
				text = s
			}
			values = append(values, text)
		}
		return true
	})
	if len(values) < 10 {
		t.Fatalf("only %d constants of type %s in codes.go", len(values), typeName)
	}
	return values
}
