package sqlite

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile locks f against every other opening of its file, in this process too, or fails at once.
func lockFile(f *os.File) error {
	// A byte far behind the pid, which others may then still read.
	at := windows.Overlapped{OffsetHigh: 1}
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
}

// diskFree is how many bytes this process may still write in a folder's file system.
func diskFree(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(free), nil
}
