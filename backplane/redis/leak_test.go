package redis

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestMain fails the package where a goroutine of its own, or of the client that it uses, outlives its tests.
func TestMain(m *testing.M) {
	// They wait for leases and patience most of the time: as many together as there are processors would take minutes.
	flag.Set("test.parallel", "8")
	code := m.Run()
	deadline := time.Now().Add(5 * time.Second)
	for left := leaked(); len(left) > 0; left = leaked() {
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "%d goroutines outlive the tests; the first:\n%s\n", len(left), left[0])
			code = max(code, 1)
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	os.Exit(code)
}

func leaked() (stacks []string) {
	all := make([]byte, 1<<20)
	for _, stack := range strings.Split(string(all[:runtime.Stack(all, true)]), "\n\n") {
		if !strings.Contains(stack, "TestMain(") && (strings.Contains(stack, "fastport/backplane/redis") || strings.Contains(stack, "go-redis/")) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}
