//go:build linux || darwin || freebsd

package sqlite

import (
	"os"

	"golang.org/x/sys/unix"
)

// lockFile locks f against every other opening of its file, in this process too, or fails at once.
func lockFile(f *os.File) error {
	return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}

// diskFree is how many bytes this process may still write in a folder's file system.
func diskFree(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
