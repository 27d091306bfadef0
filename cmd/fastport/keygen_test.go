package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fastport/fastport/client/e2ee"
)

func TestKeygen_PrintsAnotherKeyEachTime(t *testing.T) {
	_, first, _ := call(t, nil, "", "keygen")
	_, second, _ := call(t, nil, "", "keygen")
	for _, line := range []string{first, second} {
		if _, err := e2ee.ParseKey(strings.TrimSuffix(line, "\n")); err != nil {
			t.Errorf("%d characters: %v", len(line), err)
		}
	}
	if first == second {
		t.Error("the same key twice")
	}
}

func TestKeygen_WritesANewFileThatNobodyElseReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo.key")
	if code, out, told := call(t, nil, "", "keygen", "--out", path); code != exitOK || out != "" {
		t.Fatalf("exit code %d, printed %q, told %q", code, out, told)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 600", info.Mode(), err)
	}
	code, _, told := call(t, nil, "", "keygen", "--out", path)
	after, _ := os.ReadFile(path)
	if code != exitFailure || !strings.Contains(told, "choose another name") || string(before) != string(after) {
		t.Errorf("a key that is there: exit code %d, told %q, changed %v", code, told, string(before) != string(after))
	}
}
