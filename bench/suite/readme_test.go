package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const docs = "../../docs/benchmarks-peers"

func TestDocs_AreWhatTheirResultsMake(t *testing.T) {
	list, err := readRecords(docs + ".jsonl")
	if err != nil || len(list) == 0 {
		t.Fatalf("%d results, %v", len(list), err)
	}
	curved := drawCurves(list)
	for path, want := range map[string]string{
		docs + ".md": tables(list, filepath.Base(docs), findings(list), curved != ""), docs + ".svg": picture(list), docs + "-curves.svg": curved,
	} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is not what its results make (%v): cd bench && go run ./suite -render", path, err)
		}
	}
	if readme, err := os.ReadFile("../../README.md"); err != nil || !strings.Contains(string(readme), figuresFrom+figures(list)+figuresTo) {
		t.Errorf("README.md has other figures (%v): cd bench && go run ./suite -render", err)
	}
}

func TestReadme_HasItsFiguresPutBetweenTheirMarks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	if err := writeReadme(path, nil); err != nil {
		t.Errorf("no README: %v", err)
	}
	for text, fine := range map[string]bool{"a\n" + figuresFrom + "old" + figuresTo + "b\n": true, "a\n": false, figuresFrom + "never ends": false} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		err := writeReadme(path, []record{{Scenario: "stream", Server: "fastport", Figures: map[string]any{speed.key: 1200.0}}})
		got, _ := os.ReadFile(path)
		if (err == nil) != fine || fine == (string(got) == text) {
			t.Errorf("%q becomes %q, %v", text, got, err)
		}
		if fine && (!strings.HasPrefix(string(got), "a\n") || !strings.HasSuffix(string(got), "b\n") || !strings.Contains(string(got), "| 1,200 MB/s |") || strings.Contains(string(got), "old")) {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}
