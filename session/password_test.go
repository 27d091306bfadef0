package session

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestHasher_OneACoreAndOneAnAddressAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher()
		h.cores = make(chan struct{}, 3)
		other := netip.MustParseAddr("2001:db8::1")
		neighbour := netip.MustParseAddr("2001:db8::2:1") // of the same /64
		var running, most atomic.Int64
		var ofClient, ofOther atomic.Int64
		for i := range 40 {
			go func() {
				from, mine := client, &ofClient
				switch i % 4 {
				case 1:
					from, mine = other, &ofOther
				case 2:
					from, mine = neighbour, &ofOther
				case 3:
					from, mine = netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), new(atomic.Int64)
				}
				leave, err := h.enter(t.Context(), from)
				if err != nil {
					t.Error(err)
					return
				}
				defer leave()
				if n := mine.Add(1); n != 1 {
					t.Errorf("%d checks at once for %v", n, from)
				}
				n := running.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				time.Sleep(25 * time.Millisecond)
				running.Add(-1)
				mine.Add(-1)
			}()
		}
		time.Sleep(time.Minute)
		if most.Load() != 3 {
			t.Errorf("at most %d ran at once, want 3", most.Load())
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.waiting != 0 || len(h.lanes) != 0 {
			t.Errorf("left behind: %d waiting, %d lanes", h.waiting, len(h.lanes))
		}
	})
}

func TestHasher_QueuesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHasher()
		for range cap(h.cores) {
			h.cores <- struct{}{}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var refused atomic.Int64
		try := func(from netip.Addr) {
			go func() {
				if _, err := h.enter(ctx, from); errors.Is(err, errBusy) && ctx.Err() == nil {
					refused.Add(1)
				}
			}()
		}
		for range maxWaitingAddress + 10 {
			try(client)
		}
		synctest.Wait()
		if refused.Load() != 10 {
			t.Errorf("of one address %d were refused, want 10", refused.Load())
		}
		for i := range maxWaitingHashes {
			try(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
		synctest.Wait()
		if got, want := refused.Load(), int64(10+maxWaitingAddress); got != want {
			t.Errorf("in all %d were refused, want %d", got, want)
		}
		cancel()
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.waiting != 0 || len(h.lanes) != 0 {
			t.Errorf("left behind: %d waiting, %d lanes", h.waiting, len(h.lanes))
		}
	})
}
