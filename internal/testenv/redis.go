package testenv

import (
	"testing"

	"github.com/fastport/fastport/internal/daemon"
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
	s, err := newServer(t, "redis")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.end)
	if err := daemon.Redis(s.d, args...); err != nil {
		t.Fatal(err)
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	return s
}
