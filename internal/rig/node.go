package rig

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/fastport/fastport/internal/daemon"
)

// Node is one `fastport serve`. It keeps its addresses and its name through every restart.
type Node struct {
	d        *daemon.Daemon
	opsAddr  string
	redis    *Link
	postgres *Link
}

func newNode(c *Cluster, name string) (*Node, error) {
	d, err := c.daemon(name)
	if err != nil {
		return nil, err
	}
	n := &Node{d: d, redis: new(Link), postgres: new(Link)}
	if n.opsAddr, err = daemon.FreeAddr(); err != nil {
		return n, err
	}
	database, err := c.Postgres.urlFor(n)
	if err != nil {
		return n, err
	}
	redis, err := c.Redis.urlFor(n)
	if err != nil {
		return n, err
	}
	_, port, _ := net.SplitHostPort(d.Addr)
	_, opsPort, _ := net.SplitHostPort(n.opsAddr)
	env := append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.Dir,
		"NODE_ID=" + name, "HOST=127.0.0.1", "PORT=" + port, "METRICS_PORT=" + opsPort,
		"DATABASE_URL=" + database, "REDIS_URL=" + redis,
		"MASTER_KEY=" + c.MasterKey, "ADMIN_USER=" + AdminUser, "ADMIN_PASS=" + c.AdminPass,
		"TRUSTED_PROXIES=127.0.0.1",
	}, c.options.Env...)
	d.Quit = syscall.SIGTERM
	d.Command = func() *exec.Cmd {
		cmd := exec.Command(c.options.Binary, "serve")
		cmd.Env = env
		return cmd
	}
	d.Ready = n.answers
	return n, nil
}

// Name is the node's NODE_ID.
func (n *Node) Name() string { return n.d.Name }

// URL is where clients connect.
func (n *Node) URL() string { return "http://" + n.d.Addr }

// OpsURL is where health, metrics and profiles are.
func (n *Node) OpsURL() string { return "http://" + n.opsAddr }

// LogFile is what the node says, of all its runs.
func (n *Node) LogFile() string { return n.d.LogFile() }

// Redis is the node's way to Redis; it has no effect without Options.Proxies.
func (n *Node) Redis() *Link { return n.redis }

// Postgres is the node's way to Postgres; it has no effect without Options.Proxies.
func (n *Node) Postgres() *Link { return n.postgres }

// Running reports whether the node was started and has not ended; a frozen one runs.
func (n *Node) Running() bool { return n.d.Running() }

// PID is the node's process, 0 while it is down.
func (n *Node) PID() int { return n.d.PID() }

// Resident is the node's memory in bytes, without what the kernel holds for it. It is an error while the node is down,
// and on systems without /proc.
func (n *Node) Resident() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", n.PID()))
	if err != nil {
		return 0, fmt.Errorf("rig: %s: %w", n.Name(), err)
	}
	var all, resident int64
	if _, err := fmt.Sscan(string(text), &all, &resident); err != nil {
		return 0, fmt.Errorf("rig: %s: %w", n.Name(), err)
	}
	return resident * int64(os.Getpagesize()), nil
}

// Start runs the node and returns once it answers. It does nothing where it runs.
func (n *Node) Start() error { return n.d.Start() }

// Kill ends the node with SIGKILL.
func (n *Node) Kill() error { return n.d.Kill() }

// Freeze stops the node with SIGSTOP.
func (n *Node) Freeze() error { return n.d.Freeze() }

// Thaw lets a frozen node go on.
func (n *Node) Thaw() error { return n.d.Thaw() }

// Drain asks the node to stop in good order and waits for it. It is an error if it ends with anything but 0.
func (n *Node) Drain() error {
	state, err := n.d.Stop()
	if err == nil && !state.Success() {
		err = fmt.Errorf("rig: %s drained and ended with %v:\n%s", n.Name(), state, n.d.Said())
	}
	return err
}

// Ready reports whether the node calls itself ready, and what it says of itself.
func (n *Node) Ready(ctx context.Context) (ready bool, body string, err error) {
	code, body, err := get(ctx, n.OpsURL()+"/readyz")
	return code == http.StatusOK, body, err
}

func (n *Node) answers(ctx context.Context) error {
	code, body, err := get(ctx, n.OpsURL()+"/healthz")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("%d %s", code, strings.TrimSpace(body))
	}
	return err
}

// get asks once, on a connection of its own.
func get(ctx context.Context, url string) (code int, body string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text := make([]byte, 4096)
	k, _ := res.Body.Read(text)
	return res.StatusCode, string(text[:k]), nil
}
