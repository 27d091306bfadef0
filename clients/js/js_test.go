package js_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/fastport/fastport/internal/testenv"
)

// binary is what `go build ./cmd/fastport` makes: the broker and the tools that the SDK's tests run.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fastport-js-test-")
	if err != nil {
		panic(err)
	}
	code := 1
	if binary, err = testenv.Fastport(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else if err := testenv.NodeModules("."); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// TestSDK_Types: the SDK's comments are types, and hold strictly.
func TestSDK_Types(t *testing.T) {
	t.Parallel()
	run(t, nil, "node", "node_modules/typescript/bin/tsc", "-p", ".")
}

var passed = regexp.MustCompile(`(?m)^# pass (\d+)$`)

// TestSDK_Node runs test/*.test.js: against the vectors, against real servers, on Node and in headless Chromium, and crosswise with the Go
// tools.
func TestSDK_Node(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("test/*.test.js")
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests: %v", err)
	}
	env := []string{
		"FASTPORT_BIN=" + binary, "FASTPORT_TEST_REDIS=redis://" + testenv.Redis(t), "FASTPORT_TEST_POSTGRES=" + testenv.Postgres(t),
	}
	out := run(t, env, "node", append([]string{"--test", "--test-concurrency=3", "--test-timeout=180000", "--test-reporter=tap"}, files...)...)
	m := passed.FindStringSubmatch(out)
	if m == nil || m[1] == "0" {
		t.Fatalf("no test has run:\n%s", out)
	}
	t.Logf("%s tests of JavaScript passed", m[1])
	neverCached(t)
}

// neverCached has `go test` run this again each time: it does not see what the binary and the scripts are made of. A file of this
// module that was read right after it was written does that.
func neverCached(t *testing.T) {
	t.Helper()
	name := filepath.Join("node_modules", ".tested")
	if err := os.WriteFile(name, []byte(time.Now().Format(time.RFC3339Nano)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(name); err != nil {
		t.Fatal(err)
	}
}

func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}
