package conformance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fastport/fastport/internal/testenv"
)

// asAgent in the environment makes the test's own program the agent of the Go SDK.
const asAgent = "FASTPORT_CONFORMANCE_AGENT"

// binary is what `go build ./cmd/fastport` makes.
var binary string

func TestMain(m *testing.M) {
	if os.Getenv(asAgent) != "" {
		if err := runGoAgent(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	flag.Set("test.parallel", "8") // a play waits more than it works
	dir, err := os.MkdirTemp("", "fastport-conformance-")
	if err != nil {
		panic(err)
	}
	code := 1
	if binary, err = testenv.Fastport(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else if err := testenv.NodeModules("../js", "../../testdata/seedclient"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// sdks are those that play every scenario.
var sdks = []string{"Go", "Node", "Chromium"}

// stage is what all plays share.
type stage struct {
	node    *server // of no cluster
	cluster []string
	agents  map[string]*agent
	plays   atomic.Int32
}

// newStage starts a node and an agent of each SDK, which end with t.
func newStage(t *testing.T) *stage {
	s := &stage{node: serve(t, binary), cluster: clusterEnv(testenv.Redis(t), testenv.Postgres(t)), agents: make(map[string]*agent)}
	commands := map[string][]string{
		"Go": {os.Args[0]}, "Node": {"node", "agents/node.js"}, "Chromium": {"node", "agents/chromium.js", s.node.http()}, "version 1": {"node", "agents/seed.js"},
	}
	for name, command := range commands {
		cmd := exec.CommandContext(context.Background(), command[0], command[1:]...)
		cmd.Env = append(os.Environ(), asAgent+"=yes")
		a, err := startAgent(name, cmd)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := a.stop(ctx); err != nil {
				t.Error(err)
			}
		})
		s.agents[name] = a
	}
	return s
}

// play makes a run of a scenario ready.
func (s *stage) play(t *testing.T, script *script, cast func(client string) string) *play {
	p := &play{
		script: script, id: fmt.Sprint(s.plays.Add(1)), nodes: map[string]*server{"one": s.node},
		cast: func(client string) *agent { return s.agents[cast(client)] },
	}
	for _, name := range script.nodes() {
		p.nodes[name] = serve(t, binary, append([]string{"NODE_ID=" + name + "-" + p.id}, s.cluster...)...)
	}
	return p
}

// everyone has one SDK play all clients.
func everyone(sdk string) func(client string) string { return func(string) string { return sdk } }

// TestConformance has every SDK play every scenario; every scenario fail under its faults, at the step that says so; every pair of SDKs
// open what the other sealed; and the client of version 1 pass its tests against the same node.
func TestConformance(t *testing.T) {
	scenarios, err := load("scenarios")
	if err != nil || len(scenarios) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	crosswise, err := load("crosswise")
	if err != nil {
		t.Fatal(err)
	}
	allFaultsAreUsed(t, scenarios)
	s := newStage(t)
	t.Run("version 1", func(t *testing.T) { playSeeds(t, s.node) }) // alone: its tests are about time too
	for _, sdk := range sdks {
		for _, script := range scenarios {
			t.Run(sdk+"/"+script.name, func(t *testing.T) {
				t.Parallel()
				if err := s.play(t, script, everyone(sdk)).run(t.Context()); err != nil {
					t.Fatal(err)
				}
			})
			for _, fault := range script.faults() {
				t.Run(sdk+"/"+script.name+" without "+fault, func(t *testing.T) {
					t.Parallel()
					p := s.play(t, script, everyone(sdk))
					p.fault = fault
					failsAsItSays(t, p, p.run(t.Context()))
				})
			}
		}
	}
	m := newMatrix(crosswise)
	for _, suite := range []int{1, 2} {
		for _, script := range crosswise {
			for _, pair := range pairs(suite) {
				t.Run(fmt.Sprintf("crosswise/suite %d, %s, %s to %s", suite, script.name, pair.seals, pair.opens), func(t *testing.T) {
					t.Parallel()
					p := s.play(t, script, func(client string) string {
						if client == "alice" {
							return pair.seals
						}
						return pair.opens
					})
					p.suite = suite
					err := p.run(t.Context())
					m.set(suite, script.name, pair, err)
					if err != nil {
						t.Fatal(err)
					}
				})
			}
		}
	}
	t.Cleanup(func() { m.print(t) })
}

// allFaultsAreUsed: each scenario has a step that fails without a behaviour, and each fault has a scenario.
func allFaultsAreUsed(t *testing.T, scenarios []*script) {
	t.Helper()
	used := make(map[string]bool)
	for _, script := range scenarios {
		if len(script.faults()) == 0 {
			t.Errorf("%s: nothing is known that it fails without", script.name)
		}
		for _, name := range script.faults() {
			used[name] = true
		}
	}
	for name := range faults {
		if !used[name] {
			t.Errorf("no scenario fails without %s", name)
		}
	}
}

// failsAsItSays holds a play with a fault to the step that names the fault.
func failsAsItSays(t *testing.T, p *play, err error) {
	t.Helper()
	var f *failure
	switch {
	case err == nil:
		t.Errorf("it passes though %s", p.take.about)
	case !errors.As(err, &f) || f.step == nil || !slices.Contains(f.step.without, p.fault):
		t.Errorf("%s: it fails elsewhere: %v", p.take.about, err)
	default:
		t.Logf("%s, and so: %v", p.take.about, err)
	}
}

// playSeeds runs the tests of the client of version 1.
func playSeeds(t *testing.T, at *server) {
	cmd := exec.CommandContext(t.Context(), "node", "--test", "seed.test.mjs")
	cmd.Dir = "../../testdata/seedclient"
	cmd.Env = append(os.Environ(), "FASTPORT_URL="+at.http())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "# pass 8") {
		t.Fatalf("not all of the 8 tests passed: %v\n%s", err, out)
	}
}
