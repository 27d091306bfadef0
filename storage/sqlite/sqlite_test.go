package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/storagetest"
)

func TestStore(t *testing.T) { harness(func(*Store) {}).Run(t) }

// The journal hides the tables from short tests, so these begin where it ends.
func TestStore_SweepsMoveEverything(t *testing.T) {
	h := harness(func(s *Store) { s.journal.stay = 0 })
	h.Place = nil // TestStore kills and reopens
	h.Run(t)
}

func TestStore_AppendsMoveTheOldest(t *testing.T) {
	h := harness(func(s *Store) { s.journal.most = 300 })
	h.Place = nil // TestStore kills and reopens
	h.Run(t)
}

func harness(prepare func(*Store)) storagetest.Harness {
	return storagetest.Harness{
		Open: func(t *testing.T, o storage.Options) storage.Store {
			s := openTest(t, filepath.Join(t.TempDir(), "fastport.db"), o)
			s.now = (&clock{t: time.Now()}).now
			prepare(s)
			return s
		},
		Advance: func(t *testing.T, st storage.Store, d time.Duration) {
			s := st.(*Store)
			s.now = (&clock{t: s.now().Add(d)}).now
		},
		Place: func(t *testing.T) string { return filepath.Join(t.TempDir(), "fastport.db") },
		At: func(ctx context.Context, place string, o storage.Options) (storage.Store, error) {
			s, err := Open(ctx, place, o)
			if err == nil {
				prepare(s)
			}
			return s, err
		},
	}
}

func TestMain(m *testing.M) {
	// The smallest of journals: what is killed must have lost nothing on its way out of it.
	storagetest.CrashChild(harness(func(s *Store) { s.journal.most = 10_000 }).At)
	os.Exit(m.Run())
}

// openTest opens a store that the test's end closes.
func openTest(t testing.TB, path string, o storage.Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// clock is a clock that stands still.
type clock struct {
	mu sync.Mutex // guards the following
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}
