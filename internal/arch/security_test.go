package arch

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// required are the requirements that must have a test as long as the broker is one node.
var required = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 19, 20, 21}

var (
	securityRow = regexp.MustCompile(`^\| (\d+) \|`)
	testName    = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	testFunc    = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
)

// TestSecurityTableNamesTestsThatExist: SECURITY.md says which test holds each requirement; this fails when a row is
// missing, names no test, or names one that is gone.
func TestSecurityTableNamesTestsThatExist(t *testing.T) {
	doc, err := os.ReadFile("../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	exist := testsOfTheTree(t)
	rows := map[int]int{}
	for line := range strings.Lines(string(doc)) {
		m := securityRow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range testName.FindAllStringSubmatch(line, -1) {
			rows[n]++
			if !exist[name[1]] {
				t.Errorf("SECURITY.md row %d names %s, which does not exist", n, name[1])
			}
		}
	}
	for _, n := range required {
		if rows[n] == 0 {
			t.Errorf("SECURITY.md has no test for requirement %d", n)
		}
	}
}

func testsOfTheTree(t *testing.T) map[string]bool {
	t.Helper()
	exist := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllStringSubmatch(string(src), -1) {
			exist[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return exist
}
