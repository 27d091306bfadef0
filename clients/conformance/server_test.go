package conformance

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/fastport/fastport/internal/daemon"
)

// server is a running `fastport serve`.
type server struct{ d *daemon.Daemon }

// serve starts a node, which ends with t, and returns once it is ready.
func serve(t *testing.T, binary string, env ...string) *server {
	t.Helper()
	addr, err := daemon.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "fastport-conformance-")
	if err != nil {
		t.Fatal(err)
	}
	keep, err := daemon.Keep(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{&daemon.Daemon{Name: "fastport", Dir: dir, Addr: addr, Keeper: keep, Quit: syscall.SIGTERM}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.d.Said())
		}
		if err := keep.Release(); err != nil {
			t.Error(err)
		}
		s.d.Wait()
	})
	_, port, _ := net.SplitHostPort(addr)
	s.d.Command = func() *exec.Cmd {
		cmd := exec.Command(binary, "serve")
		cmd.Env = append([]string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "HOST=127.0.0.1", "PORT=" + port, "API_RATE_LIMIT=0", "CONNECTION_RATE_LIMIT=0",
		}, env...)
		return cmd
	}
	s.d.Ready = func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.http()+"/readyz", nil)
		if err != nil {
			return err
		}
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz: %s", r.Status)
		}
		return nil
	}
	if err := s.d.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) http() string { return "http://" + s.d.Addr }

// drain asks the node to stop; what it returns gets nil once that has ended in good order.
func (s *server) drain() <-chan error {
	done := make(chan error, 1)
	go func() {
		state, err := s.d.Stop()
		if err == nil && !state.Success() {
			err = fmt.Errorf("the node ended with %v:\n%s", state, s.d.Said())
		}
		done <- err
	}()
	return done
}

// clusterEnv is what makes nodes a cluster.
func clusterEnv(redis, postgres string) []string {
	return []string{
		"REDIS_URL=redis://" + redis, "DATABASE_URL=" + postgres, "DRAIN_TIMEOUT=6s",
		"MASTER_KEY=" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
	}
}
