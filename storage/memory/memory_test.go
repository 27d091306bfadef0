package memory_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"
	"github.com/fastport/fastport/storage/storagetest"
)

func TestStore(t *testing.T) {
	var clocks sync.Map // of the stores
	storagetest.Harness{
		Open: func(t *testing.T, o storage.Options) storage.Store {
			c := &clock{t: time.Now()}
			st := memory.Open(o, c.now)
			clocks.Store(st, c)
			return st
		},
		Advance: func(t *testing.T, st storage.Store, d time.Duration) {
			c, _ := clocks.Load(st)
			c.(*clock).advance(d)
		},
	}.Run(t)
}

func TestStore_WorksOnASyntheticClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory.Open(storage.Options{}, time.Now)
		ss := storagetest.NewSession()
		at := storage.Topic{Session: ss.ID, Name: "news"}
		if err := st.CreateSession(t.Context(), ss); err != nil {
			t.Fatal(err)
		}
		if _, err := st.Subscribe(t.Context(), "c:me", at, true); err != nil {
			t.Fatal(err)
		}
		got, _, err := st.Append(t.Context(), []storage.Entry{{Topic: at, MessageID: "a", Expiry: time.Hour}})
		if err != nil || got[0].Outcome != storage.Stored {
			t.Fatalf("append: %v, %v; want it stored", got, err)
		}
		time.Sleep(time.Hour) // the bubble's: it takes no time
		if swept, err := st.Sweep(t.Context()); err != nil || swept.Expired != 1 {
			t.Fatalf("swept %+v (%v), want 1 expired", swept, err)
		}
	})
}

// clock is a clock that stands still until it is moved.
type clock struct {
	mu sync.Mutex // guards the following
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}
