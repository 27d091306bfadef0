package testenv

import (
	"os"
	"testing"

	"github.com/fastport/fastport/internal/daemon"
)

// patience bounds every wait for a server; a busy machine takes seconds, a broken one for ever.
const patience = daemon.Patience

// Server is a real server that a test may stop, kill, freeze and bring back at the same address.
// A step that fails, fails the test. Methods are for one goroutine at a time.
type Server struct {
	t    testing.TB
	dir  string
	addr string
	d    *daemon.Daemon
}

// newServer makes the folder, its keeper and an address. What it runs is still to be said to d.
func newServer(t testing.TB, name string) (*Server, error) {
	addr, err := daemon.FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "fastport-"+name+"-")
	if err != nil {
		return nil, err
	}
	keep, err := daemon.Keep(dir)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return &Server{t: t, dir: dir, addr: addr, d: &daemon.Daemon{Name: name, Dir: dir, Addr: addr, Keeper: keep}}, nil
}

// Addr is its host:port, the same after a Restart.
func (s *Server) Addr() string { return s.addr }

// Stop ends the server in good order and waits for it.
func (s *Server) Stop() {
	s.t.Helper()
	_, err := s.d.Stop()
	s.must(err)
}

// Kill ends every process of the server at once with SIGKILL, as a power cut would end them.
func (s *Server) Kill() { s.t.Helper(); s.must(s.d.Kill()) }

// Freeze stops every process of the server with SIGSTOP: connections stay open and nothing answers.
func (s *Server) Freeze() { s.t.Helper(); s.must(s.d.Freeze()) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.t.Helper(); s.must(s.d.Thaw()) }

// Restart stops the server if it runs and starts it again on the same folder and address.
func (s *Server) Restart() { s.t.Helper(); s.must(s.d.Restart()) }

// start runs the server and returns once it serves.
func (s *Server) start() error { return s.d.Start() }

// end lets the keeper clear up, whatever state the server is in.
func (s *Server) end() {
	if err := s.d.Keeper.Release(); err != nil {
		s.t.Errorf("testenv: clear up after %s: %v", s.d.Name, err)
	}
	s.d.Wait()
}

// log is the end of what the server said.
func (s *Server) log() string { return s.d.Said() }

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}
