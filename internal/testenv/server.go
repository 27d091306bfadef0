package testenv

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait for a server; a busy machine takes seconds, a broken one for ever.
const patience = 60 * time.Second

// Server is a real server that a test may stop, kill, freeze and bring back at the same address.
// A step that fails, fails the test. Methods are for one goroutine at a time.
type Server struct {
	t    testing.TB
	name string
	dir  string
	addr string
	keep *keeper

	command func() *exec.Cmd                // a fresh start of the server, on addr and dir
	ready   func(ctx context.Context) error // nil once it serves
	quit    syscall.Signal                  // asks it to stop in good order

	run *exec.Cmd // nil while it is down
}

// Addr is its host:port, the same after a Restart.
func (s *Server) Addr() string { return s.addr }

// Stop ends the server in good order and waits for it.
func (s *Server) Stop() {
	s.t.Helper()
	s.signal(s.quit)
	if err := s.await(); err != nil {
		s.t.Fatal(err)
	}
}

// Kill ends every process of the server at once with SIGKILL, as a power cut would end them.
func (s *Server) Kill() {
	s.t.Helper()
	s.Freeze() // first, so that none starts another or finishes anything meanwhile
	s.each(syscall.SIGKILL)
	if err := s.await(); err != nil {
		s.t.Fatal(err)
	}
}

// Freeze stops every process of the server with SIGSTOP: connections stay open and nothing answers.
func (s *Server) Freeze() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP) // it alone starts children: now there will be no more
	s.each(syscall.SIGSTOP)
}

// Thaw lets a frozen server go on.
func (s *Server) Thaw() { s.t.Helper(); s.each(syscall.SIGCONT) }

// Restart stops the server if it runs and starts it again on the same folder and address.
func (s *Server) Restart() {
	s.t.Helper()
	if s.run != nil {
		s.Stop()
	}
	if err := s.start(); err != nil {
		s.t.Fatal(err)
	}
}

// start runs the server and returns once it serves.
func (s *Server) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for starts := 1; ; starts++ {
		logged, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return err
		}
		cmd := s.command()
		cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, logged, logged
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = new(syscall.SysProcAttr)
		}
		cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pgid = true, s.keep.group()
		err = cmd.Start()
		logged.Close()
		if err != nil {
			return fmt.Errorf("testenv: start %s: %w", s.name, err)
		}
		s.run = cmd
		for {
			err = s.ready(ctx)
			if err == nil {
				return nil
			}
			if s.exited() {
				break // and start again: after a crash its last processes may hold the folder or the port for a moment
			}
			if !pause(ctx) {
				return fmt.Errorf("testenv: %s does not serve: %w\n%s", s.name, err, s.log())
			}
		}
		s.run.Wait()
		s.run = nil
		if starts == 100 || !pause(ctx) {
			return fmt.Errorf("testenv: %s exits at once:\n%s", s.name, s.log())
		}
	}
}

// exited looks without reaping.
func (s *Server) exited() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, s.run.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo != 0
}

// await waits for the end of a server that was told to go.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for !s.exited() {
		if !pause(ctx) {
			return fmt.Errorf("testenv: %s does not end:\n%s", s.name, s.log())
		}
	}
	s.run.Wait() // the state is the signal's, no news
	s.run = nil
	return nil
}

func (s *Server) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.run == nil {
		s.t.Fatalf("testenv: %s is down already", s.name)
	}
	if err := s.run.Process.Signal(sig); err != nil {
		s.t.Fatalf("testenv: signal %s: %v", s.name, err)
	}
}

// each signals the server and its children.
func (s *Server) each(sig syscall.Signal) {
	s.t.Helper()
	if s.run == nil {
		s.t.Fatalf("testenv: %s is down already", s.name)
	}
	for _, pid := range append(children(s.run.Process.Pid), s.run.Process.Pid) {
		if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
			s.t.Fatalf("testenv: signal %s: %v", s.name, err)
		}
	}
}

// log is the end of what the server said.
func (s *Server) log() string {
	said, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(said[max(0, len(said)-2000):])
}

// children lists the processes whose parent is pid.
func children(pid int) (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		// pid (name) state ppid …; a name may hold anything, so look behind its last bracket.
		var state string
		var id, parent int
		fmt.Sscanf(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), "%s %d", &state, &parent)
		fmt.Sscanf(filepath.Base(filepath.Dir(path)), "%d", &id)
		if parent == pid {
			pids = append(pids, id)
		}
	}
	return pids
}

// pause waits a moment between two looks; false at the deadline.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(20 * time.Millisecond):
		return true
	}
}

// freeAddr finds a free loopback port. Should another process take it before the server does, start tries again.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
