package conformance

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

// pair is who seals and who opens.
type pair struct{ seals, opens string }

// players are those who speak a suite; the first one is also that of the clients of version 1.
func players(suite int) []string {
	if suite == 1 {
		return append(sdks[:len(sdks):len(sdks)], "version 1")
	}
	return sdks
}

func pairs(suite int) (list []pair) {
	for _, seals := range players(suite) {
		for _, opens := range players(suite) {
			list = append(list, pair{seals, opens})
		}
	}
	return list
}

// matrix is what came of every pair.
type matrix struct {
	scripts []*script

	mu    sync.Mutex // guards the following
	cells map[string]string
}

func newMatrix(scripts []*script) *matrix {
	return &matrix{scripts: scripts, cells: make(map[string]string)}
}

func cell(suite int, script string, p pair) string { return fmt.Sprint(suite, script, p) }

func (m *matrix) set(suite int, script string, p pair, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cells[cell(suite, script, p)] = "ok"
	if err != nil {
		m.cells[cell(suite, script, p)] = "FAILS"
	}
}

// report is the matrix as text.
func (m *matrix) report() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, suite := range []int{1, 2} {
		for _, script := range m.scripts {
			fmt.Fprintf(&b, "\nsuite %d, %-8s opens:", suite, script.name)
			names := players(suite)
			for _, opens := range names {
				fmt.Fprintf(&b, " %9s", opens)
			}
			for _, seals := range names {
				fmt.Fprintf(&b, "\n%17s seals", seals)
				for _, opens := range names {
					fmt.Fprintf(&b, " %9s", cmp.Or(m.cells[cell(suite, script.name, pair{seals, opens})], "-"))
				}
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// print puts the matrix into the test's log, and into a file, which make test shows: go test keeps the log of a test that passes to itself. A
// file that was read right after it was written has `go test` run this again each time; it does not see the scripts and the binary.
func (m *matrix) print(t *testing.T) {
	text := m.report()
	t.Log(text)
	if err := os.WriteFile("matrix.txt", []byte(text[1:]), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile("matrix.txt"); err != nil {
		t.Fatal(err)
	}
}
