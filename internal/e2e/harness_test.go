package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/fastport/fastport/internal/testenv"
)

// binary is what `go build ./cmd/fastport` makes, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "fastport-e2e")
	if err != nil {
		panic(err)
	}
	if binary, err = testenv.Fastport(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	shared.close()
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
	gone chan struct{} // closed once cmd has ended
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
	s := &server{t: t, dir: t.TempDir(), env: env}
	for tries := 0; ; tries++ {
		s.port = freePort(t)
		err := s.launch()
		if err == nil {
			break
		}
		// Between the look and the start another process may have taken the port, for a connection of its own perhaps.
		if tries == 5 || !strings.Contains(s.log.String(), "is taken") {
			t.Fatalf("%v\n%s", err, s.log)
		}
	}
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

// freePort finds one below the range from which the kernel takes ports for outgoing connections, of which a siege makes many.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20_000+rand.IntN(12_000)))
		if err != nil {
			continue
		}
		defer ln.Close()
		_, port, _ := net.SplitHostPort(ln.Addr().String())
		return port
	}
	t.Fatal("no free port from 20000 to 32000")
	return ""
}

// start starts the broker again where it was.
func (s *server) start() {
	s.t.Helper()
	if err := s.launch(); err != nil {
		s.t.Fatalf("%v\n%s", err, s.log)
	}
}

// launch returns once the broker is ready, or has ended.
func (s *server) launch() error {
	s.log, s.gone = &lockedBuffer{}, make(chan struct{})
	cmd := exec.Command(binary, "serve")
	cmd.Dir = s.dir
	cmd.Env = append(append(cleanEnv(), "PORT="+s.port, "DRAIN_TIMEOUT=3s", "API_RATE_LIMIT=100000"), s.env...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd = cmd
	go func() { cmd.Wait(); close(s.gone) }()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if r, err := http.Get(s.ops() + "/readyz"); err == nil {
			r.Body.Close()
			if r.StatusCode == 200 {
				return nil
			}
		}
		select {
		case <-s.gone:
			s.cmd = nil
			return errors.New("the server ended by itself")
		case <-time.After(10 * time.Millisecond):
		}
	}
	return errors.New("the server does not become ready")
}

func (s *server) stop(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
	<-s.gone
	s.cmd = nil
}

func (s *server) http() string { return "http://127.0.0.1:" + s.port }

// ops is where operators look: METRICS_PORT, where the test set it.
func (s *server) ops() string {
	for _, kv := range s.env {
		if port, ok := strings.CutPrefix(kv, "METRICS_PORT="); ok {
			return "http://127.0.0.1:" + port
		}
	}
	return s.http()
}

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

// storeEnv is the settings for a store of the given kind, on a real server where it takes one.
func storeEnv(t *testing.T, store string) []string {
	env := []string{"DB_TYPE=" + store}
	if store == "postgres" {
		env = append(env, "DATABASE_URL="+testenv.Postgres(t))
	}
	return env
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

// connect opens a WebSocket from this address of the machine and says nothing yet.
func (s *server) connect(t *testing.T, from string, header http.Header) *device {
	t.Helper()
	local := &net.TCPAddr{IP: net.ParseIP(from)}
	dialer := ws.Dialer{Header: ws.HandshakeHeaderHTTP(header), NetDial: (&net.Dialer{LocalAddr: local}).DialContext}
	conn, br, _, err := dialer.Dial(t.Context(), s.ws())
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
	return d
}

// dial connects and logs in; more is further fields of init.
func (s *server) dial(t *testing.T, session string, more frame) (*device, frame) {
	t.Helper()
	d := s.connect(t, "127.0.0.1", nil)
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

// closed reads to the end and returns the close code; 0: the connection ended without one.
func (d *device) closed() int {
	d.t.Helper()
	d.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		f, err := testenv.ReadFrame(d.rw) // wsutil knows no 1012
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			d.t.Fatal("the connection stays open")
		case err != nil:
			return 0
		case f.Header.OpCode == ws.OpClose:
			d.conn.Close()
			code, _ := ws.ParseCloseFrameData(f.Payload)
			return int(code)
		}
	}
}

// write sends bytes as they are, what is no frame too.
func (d *device) write(b []byte) {
	d.t.Helper()
	if _, err := d.conn.Write(b); err != nil {
		d.t.Fatal(err)
	}
}

// answer is what came of an HTTP request.
type answer struct {
	status int
	header http.Header
	text   string
	json   map[string]any
}

// call makes an HTTP request; headers are lines as they stand on the wire.
func (s *server) call(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.http()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, text: string(b)}
	json.Unmarshal(b, &a.json) // a page is no JSON: json is nil then
	return a
}

// want holds an answer against its status and code.
func (a answer) want(t *testing.T, what string, status int, code string) {
	t.Helper()
	if got, _ := a.json["code"].(string); a.status != status || got != code || a.json == nil {
		t.Errorf("%s: %d %s, want %d %q", what, a.status, a.text, status, code)
	}
}
