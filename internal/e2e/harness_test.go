package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// binary is what `go build ./cmd/fastport` makes, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fastport-e2e")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "fastport")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", binary, "../../cmd/fastport").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the binary: %v\n%s", err, out)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// server is a running broker with its data in a folder of its own.
type server struct {
	t    *testing.T
	dir  string
	port string
	env  []string
	cmd  *exec.Cmd
	log  *lockedBuffer
}

// lockedBuffer collects a process's output while a test looks at it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// serve starts a broker on a free port and waits until it is ready.
func serve(t *testing.T, env ...string) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	s := &server{t: t, dir: t.TempDir(), port: port, env: env}
	s.start()
	t.Cleanup(func() {
		if s.cmd != nil {
			s.stop(syscall.SIGTERM)
		}
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.log)
		}
	})
	return s
}

func (s *server) start() {
	s.t.Helper()
	s.log = &lockedBuffer{}
	s.cmd = exec.Command(binary, "serve")
	s.cmd.Dir = s.dir
	s.cmd.Env = append(append(cleanEnv(), "PORT="+s.port, "DRAIN_TIMEOUT=3s", "API_RATE_LIMIT=100000"), s.env...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	wait(s.t, 20*time.Second, "the server to be ready", func() bool {
		r, err := http.Get(s.http() + "/readyz")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == 200
	})
}

func (s *server) stop(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
	s.cmd.Wait()
	s.cmd = nil
}

func (s *server) http() string { return "http://127.0.0.1:" + s.port }

func (s *server) ws() string { return "ws://127.0.0.1:" + s.port }

// cleanEnv is the environment without settings of ours.
func cleanEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if name == "PATH" || name == "HOME" || name == "TMPDIR" || name == "LANG" {
			env = append(env, kv)
		}
	}
	return env
}

func wait(t *testing.T, most time.Duration, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if done() {
			return
		}
	}
	t.Fatalf("waited %v for %s in vain", most, what)
}

// createSession makes a session by a plain HTTP call.
func (s *server) createSession(name string, more string) map[string]any {
	s.t.Helper()
	status, body := s.post("/api/createSession", fmt.Sprintf(`{"sessionName":%q,"password":"secure_pass_123"%s}`, name, more))
	if status != 200 {
		s.t.Fatalf("createSession: %d %v", status, body)
	}
	return body
}

func (s *server) post(path, body string) (int, map[string]any) {
	s.t.Helper()
	r, err := http.Post(s.http()+path, "application/json", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(b, &answer); err != nil {
		s.t.Fatalf("%s: %d %s: %v", path, r.StatusCode, b, err)
	}
	return r.StatusCode, answer
}

// device is a bare client: JSON over a WebSocket, nothing else.
type device struct {
	t    *testing.T
	conn net.Conn
	rw   io.ReadWriter
}

type frame map[string]any

// dial connects and logs in; more is further fields of init.
func (s *server) dial(t *testing.T, session string, more frame) (*device, frame) {
	t.Helper()
	conn, br, _, err := ws.Dial(t.Context(), s.ws())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	d := &device{t: t, conn: conn, rw: conn}
	if br != nil {
		d.rw = struct {
			io.Reader
			io.Writer
		}{br, conn}
	}
	init := frame{"type": "init", "sessionName": session, "password": "secure_pass_123", "protocol": 2}
	for k, v := range more {
		init[k] = v
	}
	d.send(init)
	f := d.next()
	if f["type"] != "init_response" || f["success"] != true {
		t.Fatalf("init: %v", f)
	}
	return d, f
}

func (d *device) send(f frame) {
	d.t.Helper()
	b, err := json.Marshal(f)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := wsutil.WriteClientText(d.conn, b); err != nil {
		d.t.Fatal(err)
	}
}

// next returns the next text frame.
func (d *device) next() frame {
	d.t.Helper()
	d.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	b, _, err := wsutil.ReadServerData(d.rw)
	if err != nil {
		d.t.Fatalf("read: %v", err)
	}
	var f frame
	if err := json.Unmarshal(b, &f); err != nil {
		d.t.Fatalf("%s: %v", b, err)
	}
	return f
}

// until returns the next frame of a type; others are passed over.
func (d *device) until(typ string) frame {
	d.t.Helper()
	for {
		if f := d.next(); f["type"] == typ {
			return f
		}
	}
}
