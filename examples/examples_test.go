// Package examples_test runs the examples as they stand, against a real broker. The chat in the browser and the one for Node are run by the
// tests of clients/js, Flutter's is read by those of clients/dart.
package examples_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what takes a moment: a busy machine needs some of it, a broken program all.
const patience = 60 * time.Second

var bin string // where the broker and the examples were built

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fastport-examples-")
	if err != nil {
		panic(err)
	}
	bin = dir
	code := 1
	if out, err := exec.Command("go", "build", "-o", dir, "../cmd/fastport", "./hello", "./chat-go", "./sensors").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building: %v\n%s", err, out)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	if err := neverCached(); err != nil {
		panic(err)
	}
	os.Exit(code)
}

// neverCached has `go test` run this again each time: it does not see what the programs are built of. A file of this module that was read right
// after it was written does that.
func neverCached() error {
	const name = "tested.out"
	if err := os.WriteFile(name, []byte(time.Now().Format(time.RFC3339Nano)), 0o600); err != nil {
		return err
	}
	_, err := os.ReadFile(name)
	return err
}

func TestHello_AMessageArrives(t *testing.T) {
	t.Parallel()
	out := run(t, program(t, t.TempDir(), "hello", "-server", broker(t)))
	if want := "the phone got 24.5C\n"; out != want {
		t.Errorf("it said %q, want %q", out, want)
	}
}

func TestChat_AMessageAndAFileArrive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	document := make([]byte, 200_000)
	rand.Read(document)
	if err := os.WriteFile(filepath.Join(dir, "document.pdf"), document, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := program(t, dir, "chat-go")
	cmd.Env = append(cmd.Env, "FASTPORT_URL="+broker(t))
	out := run(t, cmd)
	if want := "[Bob received]: Hello Bob!\n[Bob received file]: document.pdf (200000 bytes)\n"; out != want {
		t.Errorf("it said %q, want %q", out, want)
	}
	got, err := os.ReadFile(filepath.Join(dir, "received_document.pdf"))
	if err != nil || !bytes.Equal(got, document) {
		t.Errorf("the file that was received is not the one that was sent: %v", err)
	}
}

// TestSensors_NoReadingIsLostOrCountedTwice kills the aggregator in the middle, and again when all readings are out.
func TestSensors_NoReadingIsLostOrCountedTwice(t *testing.T) {
	t.Parallel()
	const devices, readings = 20, 10
	dir := t.TempDir()
	env := []string{"FASTPORT_URL=" + broker(t), "FASTPORT_PASSWORD=secret_enough", "FASTPORT_KEY=" + strings.TrimSpace(run(t, program(t, dir, "fastport", "keygen")))}
	sensors := func(args ...string) *exec.Cmd {
		cmd := program(t, dir, "sensors", args...)
		cmd.Env = append(cmd.Env, env...)
		return cmd
	}
	aggregator := func() *exec.Cmd {
		cmd := sensors("aggregate")
		cmd.Stdout = nil
		said, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(cmd, os.Kill) })
		lines := bufio.NewReader(said)
		for line := ""; line != "ready\n"; {
			if line, err = lines.ReadString('\n'); err != nil {
				t.Fatalf("the aggregator: %v", err)
			}
		}
		go io.Copy(io.Discard, lines)
		return cmd
	}
	run(t, sensors("create"))
	first := aggregator()
	fleet := sensors("fleet", "-n", fmt.Sprint(devices), "-readings", fmt.Sprint(readings), "-every", "100ms")
	fleet.Stdout = os.Stderr
	if err := fleet.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, "half of the readings are counted", func() bool { return counted(t, dir) >= devices*readings/2 })
	stop(first, os.Kill)
	if err := fleet.Wait(); err != nil {
		t.Fatalf("the fleet: %v", err)
	}
	second := aggregator()
	wait(t, "all readings are counted and all devices offline", func() bool {
		return counted(t, dir) == devices*readings && online(t, dir) == 0
	})
	if err := stop(second, syscall.SIGTERM); err != nil {
		t.Errorf("told to stop, the aggregator said %v", err)
	}
	stop(aggregator(), syscall.SIGTERM)
	if got := counted(t, dir); got != devices*readings {
		t.Errorf("%d readings are counted, want %d", got, devices*readings)
	}
}

type device struct {
	Count  int
	Online bool
}

func state(t *testing.T, dir string) map[string]device {
	t.Helper()
	devices := map[string]device{}
	text, err := os.ReadFile(filepath.Join(dir, "fleet.json"))
	if err != nil {
		return devices // not yet
	}
	if err := json.Unmarshal(text, &devices); err != nil {
		t.Fatalf("the aggregator's file: %v", err)
	}
	return devices
}

func counted(t *testing.T, dir string) (n int) {
	t.Helper()
	for _, d := range state(t, dir) {
		n += d.Count
	}
	return n
}

func online(t *testing.T, dir string) (n int) {
	t.Helper()
	for _, d := range state(t, dir) {
		if d.Online {
			n++
		}
	}
	return n
}

// broker starts a broker that ends with the test, and returns its address.
func broker(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	cmd := program(t, t.TempDir(), "fastport", "serve")
	cmd.Env = append(cmd.Env, fmt.Sprintf("PORT=%d", port), "DRAIN_TIMEOUT=3s")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop(cmd, os.Kill)
		if t.Failed() {
			t.Logf("the broker's log:\n%s", &log)
		}
	})
	address := fmt.Sprintf("http://127.0.0.1:%d", port)
	wait(t, "the broker is ready", func() bool {
		answer, err := http.Get(address + "/readyz")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return address
}

// program is one that was built, in a folder and with an environment of its own.
func program(t *testing.T, dir, name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + os.TempDir()}
	cmd.Stderr = os.Stderr
	return cmd
}

func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(cmd.Path), err, out)
	}
	return string(out)
}

func stop(cmd *exec.Cmd, signal os.Signal) error {
	if cmd.ProcessState != nil {
		return nil
	}
	cmd.Process.Signal(signal)
	return cmd.Wait()
}

func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain until %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
