package sqlite

import (
	"os"
	"path/filepath"
	"sync/atomic"
)

// What is kept free on the disk, in bytes. Settling and deleting write too: to the WAL, before they free anything.
const (
	highWater   = 64 << 20 // below it nothing new is stored
	walRoom     = 16 << 20 // of which so much must be the disk's own, not only free pages inside the file
	reserveSize = 8 << 20  // the reserve file's
)

// room knows whether there is room for more messages. The mark stops appends while everything else still has room to
// work in; when somebody else fills the disk to the brim, the reserve file is removed and its room used to delete.
type room struct {
	dir     string
	reserve string // path

	highWater, walRoom int64 // as the constants, smaller in tests

	stopped atomic.Bool // SQLite said that the disk is full; the sweep probes again
}

func newRoom(path string) *room {
	r := &room{dir: filepath.Dir(path), reserve: path + ".reserve", highWater: highWater, walRoom: walRoom}
	r.probe()
	return r
}

// left is how many bytes may still be stored; below 0: none. Pages that are free inside the file count as room, else a
// broker that filled its disk could not go on after its messages were deleted: the file does not shrink.
func (r *room) left(db *conn) (int64, error) {
	if r.stopped.Load() {
		return -1, nil
	}
	free, err := diskFree(r.dir)
	if err != nil {
		return 0, err
	}
	if free < r.walRoom {
		return -1, nil
	}
	if free >= 2*r.highWater {
		return free - r.highWater, nil // plenty: no need to ask further
	}
	var pages int64
	if err := db.row(`PRAGMA freelist_count`).Scan(&pages); err != nil {
		return 0, err
	}
	return free + pages*pageSize - r.highWater, nil
}

const pageSize = 4096 // SQLite's default

// full is called when SQLite found the disk full: appends stop, and the reserve is given up.
func (r *room) full() {
	r.stopped.Store(true)
	_ = os.Remove(r.reserve)
}

// probe lets appends try again, and makes the reserve anew where there is room to spare.
func (r *room) probe() {
	r.stopped.Store(false)
	if _, err := os.Stat(r.reserve); err == nil {
		return
	}
	if free, err := diskFree(r.dir); err != nil || free < r.highWater+2*reserveSize {
		return
	}
	// Written, not only sized: a hole would reserve nothing. Half of one is better than none.
	_ = os.WriteFile(r.reserve, make([]byte, reserveSize), 0o600)
}
