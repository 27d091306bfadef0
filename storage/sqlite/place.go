package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// makePlace makes the folder and the empty file where they are missing, for nobody's eyes but ours, and gives the
// file's absolute path.
func makePlace(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	// SQLite would make the file by the umask; -wal and -shm then take after it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	return path, f.Close()
}

// lock is held by the one process that has the store open. The system lets go of it when the process ends, however.
type lock struct{ f *os.File }

// acquireLock takes the lock or says who has it.
func acquireLock(path string) (*lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		holder, _ := os.ReadFile(path)
		_ = f.Close()
		return nil, fmt.Errorf("in use by another process (pid %s): %w", strings.TrimSpace(string(holder)), err)
	}
	if err := f.Truncate(0); err == nil { // the pid is a courtesy
		_, _ = fmt.Fprintln(f, os.Getpid())
	}
	return &lock{f}, nil
}

// release lets go. The file stays: removing it would let two processes lock two files of one name.
func (l *lock) release() error {
	if l == nil || l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}
