package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Patience bounds every wait for a daemon; a busy machine takes seconds, a broken one for ever.
const Patience = 60 * time.Second

// startTries is how often Start begins again with a daemon that exits at once.
const startTries = 100

// ErrDown: the daemon does not run.
var ErrDown = errors.New("is down")

// Daemon is a server that may be stopped, killed, frozen and brought back at the same address. Its methods are safe
// for concurrent use; those that change it wait for each other.
type Daemon struct {
	Name    string
	Dir     string // where it runs
	Log     string // the file of what it says, of all its runs; "": "log" in Dir
	Addr    string // host:port, the same after a Restart
	Keeper  *Keeper
	Command func() *exec.Cmd                // a fresh start of it
	Ready   func(ctx context.Context) error // nil once it serves
	Quit    syscall.Signal                  // asks it to stop in good order

	op sync.Mutex // held by what changes it

	mu  sync.Mutex // guards the following
	run *exec.Cmd  // nil while it is down
}

// Start runs the daemon and returns once it serves. It does nothing where it runs already.
func (d *Daemon) Start() error {
	d.op.Lock()
	defer d.op.Unlock()
	if d.process() != nil {
		if !d.exited() {
			return nil
		}
		d.reap()
	}
	return d.start()
}

// Stop ends the daemon in good order and waits for it. state says how it ended.
func (d *Daemon) Stop() (state *os.ProcessState, err error) {
	d.op.Lock()
	defer d.op.Unlock()
	return d.stop()
}

// Kill ends every process of the daemon at once with SIGKILL, as a power cut would end them.
func (d *Daemon) Kill() error {
	d.op.Lock()
	defer d.op.Unlock()
	if err := d.freeze(); err != nil { // first, so that none starts another or finishes anything meanwhile
		return err
	}
	if err := d.each(syscall.SIGKILL); err != nil {
		return err
	}
	_, err := d.await()
	return err
}

// Freeze stops every process of the daemon with SIGSTOP: connections stay open and nothing answers.
func (d *Daemon) Freeze() error {
	d.op.Lock()
	defer d.op.Unlock()
	return d.freeze()
}

// Thaw lets a frozen daemon go on.
func (d *Daemon) Thaw() error {
	d.op.Lock()
	defer d.op.Unlock()
	return d.each(syscall.SIGCONT)
}

// Restart stops the daemon if it runs and starts it again on the same folder and address.
func (d *Daemon) Restart() error {
	d.op.Lock()
	defer d.op.Unlock()
	if d.process() != nil {
		if _, err := d.stop(); err != nil {
			return err
		}
	}
	return d.start()
}

// Running reports whether the daemon was started and has not ended; a frozen one runs.
func (d *Daemon) Running() bool { return d.process() != nil && !d.exited() }

// PID is the daemon's first process, 0 while it is down.
func (d *Daemon) PID() int {
	if run := d.process(); run != nil {
		return run.Process.Pid
	}
	return 0
}

// Wait waits for the end of a daemon whose keeper was released.
func (d *Daemon) Wait() {
	d.op.Lock()
	defer d.op.Unlock()
	if d.process() != nil {
		d.reap()
	}
}

// LogFile is what the daemon says, of all its runs.
func (d *Daemon) LogFile() string {
	if d.Log != "" {
		return d.Log
	}
	return filepath.Join(d.Dir, "log")
}

// Said is the end of LogFile.
func (d *Daemon) Said() string {
	said, _ := os.ReadFile(d.LogFile())
	return string(said[max(0, len(said)-2000):])
}

func (d *Daemon) start() error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for starts := 1; ; starts++ {
		if err := d.launch(); err != nil {
			return err
		}
		for {
			err := d.Ready(ctx)
			if err == nil {
				return nil
			}
			if d.exited() {
				break // and start again: after a crash its last processes may hold the folder or the port for a moment
			}
			if !Pause(ctx) {
				return fmt.Errorf("daemon: %s does not serve: %w\n%s", d.Name, err, d.Said())
			}
		}
		d.reap()
		if starts == startTries || !Pause(ctx) {
			return fmt.Errorf("daemon: %s exits at once:\n%s", d.Name, d.Said())
		}
	}
}

func (d *Daemon) launch() error {
	logged, err := os.OpenFile(d.LogFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer logged.Close()
	cmd := d.Command()
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.Dir, logged, logged
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid, cmd.SysProcAttr.Pgid = true, d.Keeper.group()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("daemon: start %s: %w", d.Name, err)
	}
	d.keep(cmd)
	return nil
}

func (d *Daemon) stop() (*os.ProcessState, error) {
	if err := d.signal(d.Quit); err != nil {
		return nil, err
	}
	return d.await()
}

func (d *Daemon) freeze() error {
	if err := d.signal(syscall.SIGSTOP); err != nil { // it alone starts children: now there will be no more
		return err
	}
	return d.each(syscall.SIGSTOP)
}

func (d *Daemon) process() *exec.Cmd {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.run
}

func (d *Daemon) keep(run *exec.Cmd) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.run = run
}

// exited looks without reaping.
func (d *Daemon) exited() bool {
	run := d.process()
	return run == nil || ended(run.Process.Pid)
}

// await waits for the end of a daemon that was told to go.
func (d *Daemon) await() (*os.ProcessState, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	for !d.exited() {
		if !Pause(ctx) {
			return nil, fmt.Errorf("daemon: %s does not end:\n%s", d.Name, d.Said())
		}
	}
	return d.reap(), nil
}

func (d *Daemon) reap() *os.ProcessState {
	run := d.process()
	run.Wait() // its error is what the state says
	d.keep(nil)
	return run.ProcessState
}

func (d *Daemon) signal(sig syscall.Signal) error {
	run := d.process()
	if run == nil {
		return fmt.Errorf("daemon: %s %w", d.Name, ErrDown)
	}
	if err := run.Process.Signal(sig); err != nil {
		return fmt.Errorf("daemon: signal %s: %w", d.Name, err)
	}
	return nil
}

// each signals the daemon and its children.
func (d *Daemon) each(sig syscall.Signal) error {
	run := d.process()
	if run == nil {
		return fmt.Errorf("daemon: %s %w", d.Name, ErrDown)
	}
	for _, pid := range append(children(run.Process.Pid), run.Process.Pid) {
		if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("daemon: signal %s: %w", d.Name, err)
		}
	}
	return nil
}

// Pause waits a moment between two looks; false at the deadline.
func Pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(20 * time.Millisecond):
		return true
	}
}
