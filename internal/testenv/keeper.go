package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// keeper outlives the test process by a moment, to take its server along.
type keeper struct {
	cmd  *exec.Cmd
	pipe *os.File // closing it, on purpose or by dying, lets the keeper go to work
}

// It shares its process group with the server, so it needs to be told of no process id, and a server that was just
// started when the test died is found too. CONT comes after QUIT: a frozen server dies once it runs again.
// Postgres takes QUIT as "at once, tidily", Redis as its death.
const keeperScript = `
trap '' QUIT TERM HUP INT
read -r _
kill -QUIT 0; kill -CONT 0
tries=0
until rm -rf "$1" 2>/dev/null; do
	tries=$((tries+1)); [ $tries -lt 100 ] || exit 1
	sleep 0.1
done`

func startKeeper(dir string) (*keeper, error) {
	r, w, err := os.Pipe() // both ends close on exec, so that no other child holds the pipe open
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", keeperScript, "keeper", dir)
	cmd.Stdin = r
	// A group of its own: a Ctrl-C at the terminal is for the test, not for the keeper.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		w.Close()
		return nil, fmt.Errorf("testenv: start keeper: %w", err)
	}
	return &keeper{cmd: cmd, pipe: w}, nil
}

func (k *keeper) group() int { return k.cmd.Process.Pid }

// release ends the server and removes its folder; it returns when the folder is gone.
func (k *keeper) release() error {
	k.pipe.Close()
	return k.cmd.Wait()
}
