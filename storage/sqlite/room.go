package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/fastport/fastport/storage"
)

// What is kept free on the disk, in bytes. Settling and deleting write too: to the WAL, before they free anything.
const (
	highWater   = 64 << 20 // below it nothing new is stored
	walRoom     = 16 << 20 // of which so much must be the disk's own, not only free pages inside the file
	reserveSize = 8 << 20  // the reserve file's
	easeRoom    = 1 << 20  // with so much for messages the disk counts as full no longer
)

// room knows whether there is room for more messages. The mark stops appends while everything else still has room to
// work in; when somebody else fills the disk to the brim, the reserve file is removed and its room used to delete.
type room struct {
	dir     string
	reserve string // path

	highWater, walRoom int64 // as the constants, smaller in tests

	stopped atomic.Bool // SQLite said that the disk is full; the sweep probes again
	refused atomic.Bool // a message was, and since then the sweep has found no room
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

// Full implements storage.Disk.
func (s *Store) Full() bool { return s.room.refused.Load() }

// heed remembers that a message was refused for want of room.
func (r *room) heed(results []storage.Appended) {
	for _, a := range results {
		if errors.Is(a.Err, storage.ErrFull) {
			r.refused.Store(true)
			return
		}
	}
}

// ease forgets it once there is room for more than the odd message.
func (r *room) ease(ctx context.Context, w *writer) error {
	if !r.refused.Load() {
		return nil
	}
	return w.do(ctx, 1, func(db *conn) error {
		left, err := r.left(db)
		if err == nil && left >= easeRoom {
			r.refused.Store(false)
		}
		return err
	})
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
