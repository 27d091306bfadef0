package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/fastport/fastport/internal/testenv"
)

// result is one line of portal.mjs: a claim, and what came of it.
type result struct {
	Claim string `json:"claim"`
	Error string `json:"error"`
	Ms    int    `json:"ms"`
}

// TestPortal runs portal.mjs against two nodes. Each of its claims is a subtest.
func TestPortal(t *testing.T) {
	binary, err := testenv.Fastport(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dsn, redis := testenv.Postgres(t), testenv.Redis(t)
	var urls []string
	for _, id := range []string{"harbour-1", "harbour-2"} {
		urls = append(urls, serve(t, binary, id, "DATABASE_URL="+dsn, "REDIS_URL=redis://"+redis))
	}
	for _, url := range urls {
		ready(t, url)
	}
	shots, err := filepath.Abs("shots")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(shots, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "portal.mjs", urls[0], urls[1], shots)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	// Chromium is many processes: they go together.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	claims := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Logf("%s", lines.Text())
			continue
		}
		claims++
		t.Run(r.Claim, func(t *testing.T) {
			t.Logf("%d ms", r.Ms)
			if r.Error != "" {
				t.Error(r.Error)
			}
		})
	}
	if err := cmd.Wait(); err != nil || claims == 0 {
		t.Errorf("%d claims, %v\n%s", claims, err, complaints.String())
	}
	neverCached(t, shots)
}

// neverCached has `go test` run this again each time: it does not see what the binary and the script are made of. A file
// that was read right after it was written does that.
func neverCached(t *testing.T, folder string) {
	t.Helper()
	name := filepath.Join(folder, "taken.txt")
	if err := os.WriteFile(name, []byte(time.Now().Format(time.RFC3339)+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(name); err != nil {
		t.Fatal(err)
	}
}

// serve runs a node until the test ends, or its operator drains it, and returns its address.
func serve(t *testing.T, binary, id string, env ...string) (url string) {
	t.Helper()
	port := freePort(t)
	cmd := exec.Command(binary, "serve")
	cmd.Dir = t.TempDir()
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "HOST=127.0.0.1", "PORT=" + port, "NODE_ID=" + id, "DRAIN_TIMEOUT=5s",
		"ADMIN_PASS=correct horse battery", "MASTER_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "API_RATE_LIMIT=0",
	}, env...)
	var logs bytes.Buffer
	cmd.Stderr = &logs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		if t.Failed() {
			t.Logf("the log of %s:\n%s", id, logs.String())
		}
	})
	return "http://127.0.0.1:" + port
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

func ready(t *testing.T, url string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; {
		res, err := http.Get(url + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("%s is not ready: %v", url, err)
		}
		<-time.After(50 * time.Millisecond)
	}
}
