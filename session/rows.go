package session

import (
	"sync"
	"time"

	"github.com/fastport/fastport/storage"
)

const (
	// rowLife is how long a session's row is believed without asking the store. Commands drop it sooner; where one is
	// lost, this is how long a dropped session still lets people in.
	rowLife = time.Second
	maxRows = 10_000 // beyond it all are read again
)

// row is a session as the store had it.
type row struct {
	session storage.Session
	expires time.Time // by this process's clock, measured against the store's; zero: never
	read    time.Time
}

func (r *row) expired() bool { return !r.expires.IsZero() && !time.Now().Before(r.expires) }

// rows remembers sessions that exist, by name. Names that do not exist are not remembered: the store is asked.
type rows struct {
	mu     sync.RWMutex // guards the following
	byName map[string]row
	epoch  uint64 // counts what was forgotten
}

func newRows() *rows { return &rows{byName: map[string]row{}} }

// fresh finds a row that may still be believed.
func (c *rows) fresh(name string) (row, bool) {
	c.mu.RLock()
	r, ok := c.byName[name]
	c.mu.RUnlock()
	return r, ok && time.Since(r.read) < rowLife
}

// now is the epoch to give to put. It must be asked for before the store is.
func (c *rows) now() uint64 {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.epoch
}

// put remembers a row, unless anything was forgotten since the given epoch: what was read may be what it was before.
func (c *rows) put(r row, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return
	}
	if len(c.byName) >= maxRows {
		clear(c.byName)
	}
	c.byName[r.session.Name] = r
}

func (c *rows) forget(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byName, name)
	c.epoch++
}
