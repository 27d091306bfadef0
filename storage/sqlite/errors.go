package sqlite

import (
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/fastport/fastport/storage"
)

// fail wraps the error of a verb, as one of storage's where it is one.
func fail(verb string, err error) error {
	switch {
	case err == nil:
		return nil
	case isFull(err):
		return fmt.Errorf("sqlite: %s: %w: %w", verb, storage.ErrFull, err)
	default:
		return fmt.Errorf("sqlite: %s: %w", verb, err)
	}
}

// code is SQLite's extended result code, 0 of another's error.
func code(err error) int {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code()
	}
	return 0
}

// isFull says whether there was no room on the disk. The WAL's index is sized before it is written, and fails its own way.
func isFull(err error) bool {
	c := code(err)
	return c&0xff == lib.SQLITE_FULL || c == lib.SQLITE_IOERR_SHMSIZE
}

// isEntrysFault says whether what was to be written can never be, on any try.
func isEntrysFault(err error) bool {
	switch code(err) & 0xff {
	case lib.SQLITE_TOOBIG, lib.SQLITE_CONSTRAINT, lib.SQLITE_MISMATCH:
		return true
	}
	return false
}

// isTaken says whether a unique name or key is there already.
func isTaken(err error) bool {
	c := code(err)
	return c == lib.SQLITE_CONSTRAINT_UNIQUE || c == lib.SQLITE_CONSTRAINT_PRIMARYKEY
}
