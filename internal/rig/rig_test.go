package rig

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fastport/fastport/internal/daemon"
	"github.com/fastport/fastport/internal/testenv"
)

// binary is what `go build ./cmd/fastport` makes, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fastport-rig-test-")
	if err != nil {
		panic(err)
	}
	if given := os.Getenv("RIG_VICTIM"); given != "" {
		binary = given
	} else if binary, err = testenv.Fastport(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

func start(t *testing.T, o Options) *Cluster {
	t.Helper()
	o.Binary = binary
	c, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, n := range c.Nodes {
			t.Logf("%s says:\n%s", n.Name(), n.d.Said())
		}
	})
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, claim string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	for !holds() {
		if !daemon.Pause(ctx) {
			t.Fatalf("never: %s", claim)
		}
	}
}

// says asks a node for its readiness.
func says(t *testing.T, n *Node) string {
	t.Helper()
	_, body, err := n.Ready(t.Context())
	return fmt.Sprint(body, err)
}

func TestCluster_EveryPartDiesAndComesBackAtItsAddress(t *testing.T) {
	c := start(t, Options{Nodes: 2, Proxies: true, Sentinel: true})
	n := c.Node(0)
	if ready, body, err := n.Ready(t.Context()); err != nil || !ready {
		t.Fatalf("ready = %v, %v: %s", ready, err, body)
	}

	if held, err := n.Resident(); err != nil || held < 4<<20 || held > 1<<30 {
		t.Errorf("a running node holds %d bytes, %v", held, err)
	}

	must(t, n.Kill())
	if held, err := n.Resident(); err == nil {
		t.Errorf("a killed node holds %d bytes", held)
	}
	if _, err := net.Dial("tcp", n.d.Addr); !errors.Is(err, syscall.ECONNREFUSED) || n.Running() {
		t.Fatalf("dial a killed node: %v, running %v", err, n.Running())
	}
	must(t, n.Start())
	must(t, n.Freeze())
	if _, body, err := n.Ready(t.Context()); err == nil {
		t.Fatalf("a frozen node says %s", body)
	}
	must(t, n.Thaw())
	eventually(t, "a thawed node is ready", func() bool { ready, _, _ := n.Ready(t.Context()); return ready })
	must(t, n.Drain())
	must(t, n.Start())

	before := c.Redis.Addr()
	must(t, c.Redis.Failover())
	if c.Redis.Addr() == before {
		t.Error("the master is the one before the failover")
	}
	must(t, c.Redis.Restart())
	before = c.Redis.Addr()
	must(t, c.Redis.Freeze())
	eventually(t, "Sentinels choose another than the frozen master", func() bool { return c.Redis.Addr() != before })
	must(t, c.Redis.Thaw())
	must(t, c.Postgres.Kill())
	must(t, c.Postgres.Restart())
	must(t, c.Postgres.Freeze())
	must(t, c.Postgres.Thaw())
	for _, n := range c.Nodes {
		eventually(t, n.Name()+" is ready and lacks nothing", func() bool {
			ready, body, _ := n.Ready(t.Context())
			return ready && strings.Contains(body, `"degraded":[]`)
		})
	}

	n.Postgres().Cut()
	eventually(t, "a node that is cut off from Postgres says so", func() bool { return strings.Contains(says(t, n), "store") })
	must(t, n.Postgres().Heal())
	eventually(t, "it is whole again", func() bool { return !strings.Contains(says(t, n), "store") })
}

// A copy of this test starts a cluster and is killed: nothing of it may stay.
func TestCluster_DiesWithAKilledProgram(t *testing.T) {
	if os.Getenv("RIG_VICTIM") != "" {
		c := start(t, Options{Nodes: 1, Nginx: true})
		must(t, c.Node(0).Freeze())
		fmt.Println("cluster", c.dir, c.Nginx.d.PID(), c.Node(0).PID(), c.Postgres.pg.PID(), c.Redis.current().PID())
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestCluster_DiesWithAKilledProgram$")
	cmd.Env = append(os.Environ(), "RIG_VICTIM="+binary)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	cmd.Process.Kill()
	rest, _ := io.ReadAll(out)
	cmd.Wait()
	words := strings.Fields(line)
	if err != nil || len(words) != 6 {
		t.Fatalf("victim says %q, %v\n%s", line, err, rest)
	}
	eventually(t, words[1]+" is gone", func() bool { _, err := os.Stat(words[1]); return os.IsNotExist(err) })
	for _, pid := range words[2:] {
		eventually(t, "process "+pid+" is gone", func() bool { _, err := os.Stat("/proc/" + pid); return os.IsNotExist(err) })
	}
}
