package postgres_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/internal/testenv"
	"github.com/fastport/fastport/storage"
)

func TestAppend_WhatWasAckedIsThereAfterAPowerCut(t *testing.T) {
	t.Parallel() // it mostly waits for the disk
	server := testenv.StartPostgres(t)
	st := open(t, server.Database(), storage.Options{})
	at := subscribed(t, st)
	const writers = 4
	acked := make([]map[uint64]string, writers) // seq to messageId
	underway := make(chan struct{}, writers*10)
	var wg sync.WaitGroup
	for w := range writers {
		acked[w] = map[uint64]string{}
		wg.Go(func() {
			for g := 0; ; g++ {
				entries := group(at, 5, fmt.Sprintf("%d-%d", w, g))
				results, _, err := st.Append(t.Context(), entries)
				if err != nil {
					return // the power is gone
				}
				for i, got := range results {
					acked[w][got.Seq] = entries[i].MessageID
				}
				select {
				case underway <- struct{}{}:
				default:
				}
			}
		})
	}
	for range writers * 10 {
		<-underway
	}
	server.Kill()
	wg.Wait()
	server.Restart()
	restarted := time.Now()
	eventually(t, "appends are taken", func() error { _, _, err := attempt(st, group(at, 1, "again")); return err })
	if took := time.Since(restarted); took > foundWithin {
		t.Errorf("the first append was taken %v after the restart, want within 5 s", took)
	}

	stored := map[uint64]string{}
	for after := uint64(0); ; {
		var page storage.Page
		eventually(t, "the store serves", func() (err error) {
			page, err = st.Read(t.Context(), at, after, 1000, 1<<20)
			return err
		})
		for _, m := range page.Messages {
			stored[m.Seq] = m.MessageID
		}
		if after = page.Through; after == page.Head {
			break
		}
	}
	for _, own := range acked {
		for seq, id := range own {
			if stored[seq] != id {
				t.Fatalf("seq %d is %q after the crash, %q was acked", seq, stored[seq], id)
			}
		}
	}
}
