package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// Keeper outlives this process by a moment, to take its daemons along.
type Keeper struct {
	cmd  *exec.Cmd
	pipe *os.File // closing it, on purpose or by dying, lets the keeper go to work

	once sync.Once
	err  error
}

// It shares its process group with the daemons, so it needs to be told of no process id, and one that was just started
// when this process died is found too. CONT comes after QUIT: a frozen daemon dies once it runs again.
// Postgres takes QUIT as "at once, tidily", Redis and programs in Go as their death; nginx takes it as an invitation to
// finish what it is at, and TERM as an order.
const keeperScript = `
trap '' QUIT TERM HUP INT
read -r _
kill -QUIT 0; kill -CONT 0; kill -TERM 0
[ -n "$1" ] || exit 0
tries=0
until rm -rf "$1" 2>/dev/null; do
	tries=$((tries+1)); [ $tries -lt 100 ] || exit 1
	sleep 0.1
done`

// Keep starts a keeper. It removes dir in the end, if dir is not "".
func Keep(dir string) (*Keeper, error) {
	r, w, err := os.Pipe() // both ends close on exec, so that no other child holds the pipe open
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", keeperScript, "keeper", dir)
	cmd.Stdin = r
	// A group of its own: a Ctrl-C at the terminal is for this process, not for the keeper or its daemons.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, fmt.Errorf("daemon: start keeper: %w", err)
	}
	return &Keeper{cmd: cmd, pipe: w}, nil
}

// Release ends the daemons and removes the folder; it returns when the folder is gone. Idempotent.
func (k *Keeper) Release() error {
	k.once.Do(func() {
		k.pipe.Close()
		k.err = k.cmd.Wait()
	})
	return k.err
}

func (k *Keeper) group() int { return k.cmd.Process.Pid }
