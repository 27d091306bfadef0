package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/fastport/fastport/verify"
)

// TestVerify_AClusterKeepsItsPromisesThroughFaults is the short form of `make verify`: three nodes, Redis and Postgres, and
// what breaks most, one after another. The rate is for machines that have other things to do.
func TestVerify_AClusterKeepsItsPromisesThroughFaults(t *testing.T) {
	faults := []string{"node-kill", "node-freeze", "drain", "redis-empty", "redis-deaf", "redis-one-way", "postgres-kill"}
	report, said := runVerify(t, "--local", "3", "--duration", "110s", "--rate", "150", "--only", strings.Join(faults, ","))
	if !report.OK {
		t.Errorf("promises were broken:\n%s", said)
	}
	if report.Published < 5000 || report.Acked != report.Published || report.Delivered < 2*report.Published {
		t.Errorf("published %d, acked %d, delivered %d: too few", report.Published, report.Acked, report.Delivered)
	}
	made := map[string]bool{}
	for _, f := range report.Faults {
		made[f.Name] = true
	}
	// A machine that is very busy gets through fewer of them in that time.
	if len(made) < len(faults)-2 {
		t.Errorf("only %d of %d faults were made: %v", len(made), len(faults), report.Faults)
	}
}

func TestVerify_OneNodeOnSQLitePasses(t *testing.T) {
	s := serve(t)
	report, said := runVerify(t, "--url", s.http(), "--duration", "3s", "--rate", "150", "--subscribers", "20", "--topics", "10")
	if !report.OK || report.Acked == 0 {
		t.Errorf("acked %d, OK %v:\n%s", report.Acked, report.OK, said)
	}
}

// What somebody does to a broker by hand is no breach where it was announced.
func TestVerify_ExpectsFaultsWhereItIsTold(t *testing.T) {
	s := serve(t)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		time.Sleep(2 * time.Second)
		s.cmd.Process.Kill()
		<-s.gone
		s.start()
	}()
	report, said := runVerify(t, "--url", s.http(), "--duration", "6s", "--rate", "100", "--subscribers", "20", "--topics", "10", "--expect-faults")
	<-killed
	if !report.OK || len(report.Outages) == 0 {
		t.Errorf("OK %v, %d outages, want it to be well and an outage to be told of:\n%s", report.OK, len(report.Outages), said)
	}
}

func TestVerify_FailsWhereThereIsNothing(t *testing.T) {
	out, err := exec.Command(binary, "verify", "--url", "http://127.0.0.1:1", "--duration", "1s").CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("127.0.0.1:1")) {
		t.Errorf("err = %v, said %s; want it to fail and say where", err, out)
	}
}

// runVerify runs the binary's verify, and returns its report and what it said meanwhile. Its exit code must fit.
func runVerify(t *testing.T, args ...string) (report verify.Report, said string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"verify", "--json"}, args...)...)
	cmd.Env = cleanEnv()
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err := cmd.Run()
	if json.Unmarshal(out.Bytes(), &report) != nil {
		t.Fatalf("%v: no report:\n%s\n%s", err, &out, &log)
	}
	if (err == nil) != report.OK {
		t.Errorf("it ended with %v, and OK is %v", err, report.OK)
	}
	var b strings.Builder
	report.WriteText(&b)
	return report, fmt.Sprint(&log, b.String())
}
