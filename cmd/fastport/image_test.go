package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What the image is built from is the tree without .dockerignore's patterns: no file that the binary is made of may be
// among them.
func TestImage_IsBuiltFromAllThatTheBinaryIsMadeOf(t *testing.T) {
	raw, err := os.ReadFile("../../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=Dir,GoFiles,EmbedFiles", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for list := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			Dir                 string
			GoFiles, EmbedFiles []string
		}
		if err := list.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		folder, ok := strings.CutPrefix(p.Dir, root+"/")
		if !ok {
			continue // another module's
		}
		for _, name := range append(p.GoFiles, p.EmbedFiles...) {
			files++
			for pattern := range strings.Lines(string(raw)) {
				if pattern = strings.TrimSpace(pattern); pattern != "" && pattern[0] != '#' && leftOut(folder+"/"+name, pattern) {
					t.Errorf("%s/%s is part of the binary, and %s leaves it out of the image", folder, name, pattern)
				}
			}
		}
	}
	if files < 100 {
		t.Fatalf("%d files were found: the search is broken", files)
	}
}

// leftOut reports whether a pattern matches a file or a folder that it is in. **/ is any number of folders, or none.
func leftOut(file, pattern string) bool {
	pattern, anywhere := strings.CutPrefix(pattern, "**/")
	parts := strings.Split(file, "/")
	for i := range parts {
		name := strings.Join(parts[:i+1], "/")
		if anywhere {
			name = parts[i]
		}
		if ok, err := filepath.Match(pattern, name); ok || err != nil {
			return true
		}
	}
	return false
}

func TestImage_PatternsAreFound(t *testing.T) {
	for _, c := range []struct {
		file, pattern string
		want          bool
	}{
		{"deploy/nginx.conf", "deploy", true},
		{"deploy/nginx.conf", "*.conf", false},
		{"deploy/nginx.conf", "**/*.conf", true},
		{"admin/web/node_modules/a.js", "**/node_modules", true},
		{"admin/web/a.js", "web", false},
	} {
		if got := leftOut(c.file, c.pattern); got != c.want {
			t.Errorf("%s leaves %s out: %v, want %v", c.pattern, c.file, got, c.want)
		}
	}
}
