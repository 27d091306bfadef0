package client

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSafeName_IsOneHarmlessElement(t *testing.T) {
	for name, want := range map[string]string{
		"report.pdf":       "report.pdf",
		"../../etc/passwd": "passwd",
		`..\..\boot.ini`:   "boot.ini",
		"/":                "file",
		"..":               "file",
		"...":              "file",
		".bashrc":          "bashrc",
		"a\x00b\nc":        "a_b_c",
		"x\u202Efdp.exe":   "x_fdp.exe",
		"":                 "file",
		"C:evil":           "C_evil",
		" name. ":          "name",
		"küche ☕.txt":      "küche ☕.txt",
	} {
		if got := safeName(name); got != want {
			t.Errorf("safeName(%q) = %q, want %q", name, got, want)
		}
	}
	long := safeName(strings.Repeat("ü", 300) + ".tar.gz")
	if len(long) > maxName || !strings.HasSuffix(long, ".gz") {
		t.Errorf("a long name became %q (%d bytes)", long, len(long))
	}
}

func FuzzSafeName(f *testing.F) {
	f.Add("../x")
	f.Add("a/b\\c")
	f.Fuzz(func(t *testing.T, name string) {
		got := safeName(name)
		if got == "" || got[0] == '.' || strings.ContainsAny(got, "/\\\x00") || len(got) > maxName || !filepath.IsLocal(got) || filepath.Base(got) != got {
			t.Errorf("safeName(%q) = %q", name, got)
		}
	})
}

func TestDirSink_LeavesNothingWhereItCannotCommit(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "taken", "inside"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := newDirSink(dir, FileOffer{Name: "taken"}, DirOptions{Overwrite: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(); err == nil {
		t.Error("a directory was overwritten")
	}
	if names := readDir(t, dir); !slices.Equal(names, []string{"taken"}) {
		t.Errorf("left behind: %q", names)
	}
}

func TestDirSink_OverwritesNothingUnlessToldTo(t *testing.T) {
	dir := t.TempDir()
	put := func(text string, o DirOptions) {
		t.Helper()
		s, err := newDirSink(dir, FileOffer{Name: "a.txt"}, o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/nowhere/else", filepath.Join(dir, "a (1).txt")); err != nil {
		t.Fatal(err)
	}
	put("1", DirOptions{})
	put("2", DirOptions{})
	put("3", DirOptions{Overwrite: true})
	names := readDir(t, dir)
	slices.Sort(names)
	if want := []string{"a (1).txt", "a (2).txt", "a.txt"}; !slices.Equal(names, want) {
		t.Fatalf("files %q, want %q", names, want)
	}
	for name, want := range map[string]string{"a.txt": "3", "a (2).txt": "2"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s = %q, %v, want %q", name, got, err, want)
		}
	}
}
