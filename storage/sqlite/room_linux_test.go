package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/fastport/fastport/storage"
)

func TestAppend_StopsAtTheHighWaterMarkAndGoesOnLater(t *testing.T) {
	dir := smallDisk(t, highWater>>20+24)
	path := filepath.Join(dir, "fastport.db")
	s := openTest(t, path, storage.Options{})
	at := newTopic(t, s)
	stored := fillUp(t, s, at)
	free, err := diskFree(dir)
	if err != nil || stored == 0 || free < highWater/2 {
		t.Fatalf("stored %d, %d bytes are left (%v); want it to have stopped before the mark of %d", stored, free, err, highWater)
	}
	if s.room.stopped.Load() {
		t.Fatal("SQLite found the disk full: the mark came too late")
	}
	if !s.Full() {
		t.Error("not full, though a message was refused")
	}
	settleAndSweep(t, s, at, stored)
	if s.Full() {
		t.Error("still full, though there is room again")
	}
	// The file has not shrunk: the room is inside it.
	if again := fillUp(t, s, at); again < stored*3/4 {
		t.Fatalf("stored %d more, want about as many as the %d before", again, stored)
	}
}

func TestSettleAndSweep_GoOnWhenAnotherHasFilledTheDisk(t *testing.T) {
	dir := smallDisk(t, 40)
	path := filepath.Join(dir, "fastport.db")
	s := openTest(t, path, storage.Options{})
	s.room.highWater, s.room.walRoom = 1<<20, 1<<20
	s.room.probe() // makes the reserve, for which the real mark left no room
	if _, err := os.Stat(path + ".reserve"); err != nil {
		t.Fatal(err)
	}
	at := newTopic(t, s)
	const n = 200
	for i := range n {
		e := message(at, fmt.Sprint(i))
		e.Data = make([]byte, 10_000)
		if got, _, err := s.Append(t.Context(), []storage.Entry{e}); err != nil || got[0].Outcome != storage.Stored {
			t.Fatalf("append: %+v (%v)", got, err)
		}
	}
	write(t, s, `PRAGMA wal_checkpoint(TRUNCATE)`)
	stuff(t, filepath.Join(dir, "others"))

	got, _, err := s.Append(t.Context(), []storage.Entry{message(at, "new")})
	if err != nil || !errors.Is(got[0].Err, storage.ErrFull) {
		t.Fatalf("append: %+v (%v), want ErrFull", got, err)
	}
	if page, err := s.Read(t.Context(), at, 0, 1000, 1<<30); err != nil || len(page.Messages) != n {
		t.Fatalf("read %d messages (%v), want %d", len(page.Messages), err, n)
	}
	settleAndSweep(t, s, at, n)
	if _, err := os.Stat(path + ".reserve"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the reserve is still there (%v): then how did it settle?", err)
	}
	if err := os.Remove(filepath.Join(dir, "others")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _, err := s.Append(t.Context(), []storage.Entry{message(at, "new")}); err != nil || got[0].Outcome != storage.Stored {
		t.Fatalf("append: %+v (%v), want it stored: there is room again", got, err)
	}

	// Room inside the file is no use where the WAL has none: no append may find that out at the reserve's cost.
	stuff(t, filepath.Join(dir, "others"))
	if got, _, err := s.Append(t.Context(), []storage.Entry{message(at, "newer")}); err != nil || !errors.Is(got[0].Err, storage.ErrFull) {
		t.Fatalf("append: %+v (%v), want ErrFull", got, err)
	}
	if _, err := os.Stat(path + ".reserve"); err != nil {
		t.Fatalf("the reserve: %v, want it made anew and still there", err)
	}
}

// fillUp appends until there is no room though the WAL takes none.
func fillUp(t *testing.T, s *Store, at storage.Topic) (stored uint64) {
	t.Helper()
	for n := uint64(1); n > 0; stored += n {
		n = fill(t, s, at)
		write(t, s, `PRAGMA wal_checkpoint(TRUNCATE)`)
	}
	return stored
}

// smallDisk is a file system of its own, of so many MiB.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		t.Skip("mounting a small disk takes root; TestAppend_StopsWhenSQLiteIsFullAndGoesOnLater shows the rest")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// stuff fills what is left of a disk.
func stuff(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
