package daemon

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Program finds a server's program on PATH, or in one of the folders where Debian keeps it off PATH.
func Program(name, debianPackage string, folders ...string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, folder := range folders {
		found, _ := filepath.Glob(filepath.Join(folder, name))
		if len(found) > 0 {
			return found[len(found)-1], nil // the newest version of those side by side
		}
	}
	return "", fmt.Errorf("daemon: no %s on this machine: run scripts/test-deps.sh, or install the package %s", name, debianPackage)
}

// Unprivileged is the user that a server runs as which refuses to be root: nil where this process is not root itself.
func Unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(found.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(found.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, fmt.Errorf("daemon: root may not run Postgres, and there is neither a user postgres nor nobody")
}
