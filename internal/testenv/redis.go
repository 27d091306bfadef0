package testenv

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// Redis starts an empty Redis of t's own, without persistence, and returns its host:port. It ends with t.
func Redis(t testing.TB) (addr string) {
	t.Helper()
	return StartRedis(t).Addr()
}

// StartRedis is Redis for tests that break it: a Restart brings it back empty. args are added to its command line
// ("--maxmemory", "64mb").
func StartRedis(t testing.TB, args ...string) *Server {
	t.Helper()
	path, err := binary("redis-server", "redis-server")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newServer(t, "redis", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(s.addr)
	s.quit = syscall.SIGTERM
	s.command = func() *exec.Cmd {
		fixed := []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", s.dir}
		return exec.Command(path, append(fixed, args...)...)
	}
	s.ready = func(ctx context.Context) error { return pingRedis(ctx, s.addr) }
	t.Cleanup(s.end)
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// pingRedis accepts an error reply too: a server that asks for a password serves.
func pingRedis(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if answer != "+PONG\r\n" && answer[0] != '-' {
		return fmt.Errorf("redis says %q", answer)
	}
	if len(answer) > 8 && answer[:8] == "-LOADING" {
		return fmt.Errorf("redis says %q", answer)
	}
	return nil
}

// newServer makes the folder, its keeper and an address; owner, if any, gets the folder.
func newServer(t testing.TB, name string, owner *syscall.Credential) (*Server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "fastport-"+name+"-")
	if err != nil {
		return nil, err
	}
	if owner != nil {
		if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return nil, err
		}
	}
	keep, err := startKeeper(dir)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return &Server{t: t, name: name, dir: dir, addr: addr, keep: keep}, nil
}

// end lets the keeper clear up, whatever state the server is in.
func (s *Server) end() {
	if err := s.keep.release(); err != nil {
		s.t.Errorf("testenv: clear up after %s: %v", s.name, err)
	}
	if s.run != nil {
		s.run.Wait()
		s.run = nil
	}
}
