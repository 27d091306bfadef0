package deploy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/deploy"
	"github.com/fastport/fastport/internal/daemon"
	"github.com/fastport/fastport/internal/rig"
	"github.com/fastport/fastport/internal/testenv"
)

// front is a load balancer that runs with the settings of this folder, but for shorter times.
type front struct {
	name string
	addr string
	run  func(d *daemon.Daemon, places []deploy.Node) error
}

// An idle connection is silent for as long as the time between two of a node's pings, 25 s, and for less than 35 s.
const shortTime, idleTime = "35s", 38 * time.Second

var fronts = []*front{
	{name: "nginx", run: func(d *daemon.Daemon, places []deploy.Node) error {
		return daemon.Nginx(d, shorten(deploy.At(deploy.Nginx, d.Addr, places), "proxy_read_timeout 60s", "proxy_send_timeout 60s"))
	}},
	{name: "haproxy", run: func(d *daemon.Daemon, places []deploy.Node) error {
		text := shorten(deploy.At(deploy.HAProxy, d.Addr, places), "timeout client 60s", "timeout server 60s", "timeout tunnel 60s")
		text = strings.Replace(text, "maxconn 100000", "maxconn 1000", 1) // more takes a higher limit of open files
		return program(d, "haproxy", text, "-db", "-f")
	}},
	{name: "caddy", run: func(d *daemon.Daemon, places []deploy.Node) error {
		_, port, _ := net.SplitHostPort(d.Addr)
		text := "{\n\tadmin off\n}\n" + deploy.At(deploy.Caddy, ":"+port, places) // the admin API has a port of its own
		// It knows one health port for all nodes, which those of one machine cannot have: here it asks where clients do.
		text = strings.Replace(strings.Replace(text, "health_port 9090\n", "\n", 1), "health_uri /readyz", "health_uri /", 1)
		return program(d, "caddy", text, "run", "--adapter", "caddyfile", "--config")
	}},
}

// shorten replaces each of the times, all of which must be there.
func shorten(text string, times ...string) string {
	for _, old := range times {
		if !strings.Contains(text, old) {
			panic("no " + old)
		}
		text = strings.Replace(text, old, strings.Replace(old, "60s", shortTime, 1), 1)
	}
	return text
}

// program makes of d a Debian program of that name, whose last argument is the file of its settings.
func program(d *daemon.Daemon, name, settings string, args ...string) error {
	path, err := daemon.Program(name, name, "/usr/sbin")
	if err != nil {
		return err
	}
	file := filepath.Join(d.Dir, name+".conf")
	if err := os.WriteFile(file, []byte(settings), 0o600); err != nil {
		return err
	}
	d.Quit = syscall.SIGTERM
	d.Command = func() *exec.Cmd {
		cmd := exec.Command(path, append(args, file)...)
		cmd.Env = append(os.Environ(), "HOME="+d.Dir, "XDG_DATA_HOME="+d.Dir, "XDG_CONFIG_HOME="+d.Dir)
		return cmd
	}
	d.Ready = func(ctx context.Context) error { return daemon.Answers(ctx, d.Addr) }
	return nil
}

func startFronts(t *testing.T, c *rig.Cluster) {
	t.Helper()
	dir := t.TempDir()
	keeper, err := daemon.Keep("")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fronts {
		d := &daemon.Daemon{Name: f.name, Dir: filepath.Join(dir, f.name), Keeper: keeper}
		if err := os.Mkdir(d.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if d.Addr, err = daemon.FreeAddr(); err != nil {
			t.Fatal(err)
		}
		if err := f.run(d, c.Places()); err != nil {
			t.Fatal(err)
		}
		if err := d.Start(); err != nil {
			t.Fatal(err)
		}
		f.addr = d.Addr
		t.Cleanup(func() {
			if err := keeper.Release(); err != nil {
				t.Error(err)
			}
			d.Wait()
		})
	}
}

// tenant is a session to test in, of one front.
type tenant struct {
	name, password, key string
	url                 string
}

func newTenant(t *testing.T, f *front) tenant {
	t.Helper()
	passes(t, f)
	key := e2ee.NewKey()
	s := tenant{name: f.name, password: rand.Text(), key: key.Base64(), url: "ws://" + f.addr + "/ws"}
	if _, err := client.CreateSession(t.Context(), "http://"+f.addr, client.SessionSpec{SessionName: s.name, Password: s.password, Key: key}); err != nil {
		t.Fatalf("%s: create session: %v", f.name, err)
	}
	return s
}

// passes waits until the front has found a node that takes what it is sent: on a busy machine a balancer's first looks at
// its nodes run out of time.
func passes(t *testing.T, f *front) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; <-time.After(50 * time.Millisecond) {
		answer, err := http.Get("http://" + f.addr + "/")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("%s passes nothing on: %v, %v", f.name, answer, err)
		}
	}
}

// device is a client behind a front, and what became of it.
type device struct {
	*client.Client
	got         chan string
	lost, moved atomic.Int32
}

func (s tenant) connect(t *testing.T, id string) *device {
	t.Helper()
	d := &device{got: make(chan string, 10_000)}
	c, err := client.Connect(t.Context(), client.Options{
		URL: s.url, SessionName: s.name, Password: s.password, AESKey: s.key, ClientID: id,
		PingInterval: time.Hour, // it is the nodes that keep an idle connection
		OnMove:       func() { d.moved.Add(1) },
		OnState: func(up bool) {
			if !up {
				d.lost.Add(1)
			}
		},
	})
	if err != nil {
		t.Fatalf("%s: %v", s.url, err)
	}
	d.Client = c
	t.Cleanup(func() { c.Close(context.Background()) })
	if err := c.Subscribe(t.Context(), "news", func(_ context.Context, m client.Message) error {
		d.got <- string(m.Payload)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *device) hears(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-d.got:
		if got != want {
			t.Fatalf("got %d bytes, %.20q, want %d bytes, %.20q", len(got), got, len(want), want)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("never got %.20q", want)
	}
}

// TestBalancers_CarryACluster runs each of the settings before the same two nodes.
func TestBalancers_CarryACluster(t *testing.T) {
	binary, err := testenv.Fastport(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := rig.Start(t.Context(), rig.Options{Nodes: 2, Binary: binary, Env: []string{"DRAIN_TIMEOUT=6s"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	startFronts(t, c)
	t.Run("carry", func(t *testing.T) { // all at once: most of the time is idle
		for i, f := range fronts {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				s := newTenant(t, f)
				toldApart(t, f, i)
				here, there := s.connect(t, "here"), s.connect(t, "there")
				large := string(bytes.Repeat([]byte("0123456789abcdef"), 1<<16))
				if err := here.Publish(t.Context(), "news", []byte(large)); err != nil {
					t.Fatal(err)
				}
				there.hears(t, large)

				time.Sleep(idleTime) // time is what is tested
				if err := there.Publish(t.Context(), "news", []byte("still here")); err != nil {
					t.Fatal(err)
				}
				here.hears(t, "still here")
				if here.lost.Load()+there.lost.Load() > 0 {
					t.Errorf("an idle connection was lost")
				}
			})
		}
	})
	t.Run("drain", func(t *testing.T) {
		loads := make([]*load, len(fronts))
		for i, f := range fronts {
			loads[i] = startLoad(t, f)
		}
		if err := c.Node(0).Drain(); err != nil {
			t.Error(err)
		}
		for _, l := range loads {
			l.end(t)
		}
	})
}

// toldApart makes calls from addresses of its own, which a node counts apart whatever the caller claims to be.
func toldApart(t *testing.T, f *front, i int) {
	t.Helper()
	remaining := func(from, claim string) string {
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+f.addr+"/api/dropSession", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		if claim != "" {
			req.Header.Set("X-Forwarded-For", claim)
		}
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.Header.Get("RateLimit-Remaining")
	}
	one, two := fmt.Sprintf("127.0.%d.2", i+1), fmt.Sprintf("127.0.%d.3", i+1)
	for _, call := range []struct{ from, claim, want string }{
		{one, "", "99"}, {one, "", "98"}, {two, "", "99"}, {two, "203.0.113.7", "98"}, {two, "203.0.113.7, " + one, "97"},
	} {
		if got := remaining(call.from, call.claim); got != call.want {
			t.Errorf("%s: a call from %s that claims %q leaves %s, want %s", f.name, call.from, call.claim, got, call.want)
		}
	}
}

// load publishes to four subscribers on both nodes all the while.
type load struct {
	front *front
	subs  []*device
	sent  []string
	stop  chan struct{}
	done  sync.WaitGroup
	err   error
}

func startLoad(t *testing.T, f *front) *load {
	t.Helper()
	// A session of this test's own, so that nothing is left over from another.
	drained := *f
	drained.name += "-drain"
	s := newTenant(t, &drained)
	l := &load{front: f, stop: make(chan struct{})}
	for i := range 4 {
		l.subs = append(l.subs, s.connect(t, fmt.Sprint("sub-", i)))
	}
	publisher, err := client.Connect(t.Context(), client.Options{URL: s.url, SessionName: s.name, Password: s.password, AESKey: s.key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { publisher.Close(context.Background()) })
	l.done.Go(func() {
		for {
			text := fmt.Sprint("message ", len(l.sent))
			if l.err = publisher.Publish(t.Context(), "news", []byte(text)); l.err != nil {
				return
			}
			l.sent = append(l.sent, text)
			select {
			case <-l.stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return l
}

// end looks whether everybody has everything, in order, and nobody had a gap.
func (l *load) end(t *testing.T) {
	t.Helper()
	close(l.stop)
	l.done.Wait()
	if l.err != nil {
		t.Errorf("%s: a publish failed: %v", l.front.name, l.err)
	}
	var moved, lost int32
	for _, sub := range l.subs {
		for _, want := range l.sent {
			sub.hears(t, want)
		}
		moved, lost = moved+sub.moved.Load(), lost+sub.lost.Load()
	}
	t.Logf("%s: %d messages, %d of 4 subscribers moved, %d lost their connection", l.front.name, len(l.sent), moved, lost)
	if moved == 0 || lost > 0 {
		t.Errorf("%s: %d of 4 subscribers moved and %d lost their connection, want some and none", l.front.name, moved, lost)
	}
}
