package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// NodeModules has npm bring the versions that the lock files of these folders name, unless they are there. Packages whose tests run at
// the same time wait for each other.
func NodeModules(folders ...string) error {
	for _, folder := range folders {
		if err := nodeModules(folder); err != nil {
			return err
		}
	}
	return nil
}

func nodeModules(folder string) error {
	lock, err := os.Open(filepath.Join(folder, "package-lock.json"))
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("testenv: %s: %w", folder, err)
	}
	wanted, err := lock.Stat()
	if err != nil {
		return err
	}
	if done, err := os.Stat(filepath.Join(folder, "node_modules", ".package-lock.json")); err == nil && !done.ModTime().Before(wanted.ModTime()) {
		return nil
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("testenv: npm ci in %s: %w\n%s", folder, err, out)
	}
	return nil
}
