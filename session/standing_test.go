package session

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// A session that was dropped or suspended through another node, whose word did not get here.
func TestStanding_WhatALostWordWouldHaveClosedIsClosedWithin3s(t *testing.T) {
	onBed(t, func(b *bed) {
		for _, name := range []string{"dropped", "suspended", "resumed", "other"} {
			b.session(name)
		}
		near, far := b.node(), b.node()
		far.plane.set(func(p *faultyPlane) { p.deaf = true })
		there := map[string]*device{}
		for _, name := range []string{"dropped", "suspended", "resumed", "other"} {
			there[name] = far.connect(name, "c:a", 2)
		}
		near.catalog.Drop(b.Context(), "dropped")
		near.catalog.Suspend(b.Context(), "suspended", true)
		near.catalog.Suspend(b.Context(), "resumed", true)
		near.catalog.Suspend(b.Context(), "resumed", false)
		time.Sleep(3 * time.Second)
		there["dropped"].wantClosed(protocol.CloseSessionGone)
		there["suspended"].wantClosed(protocol.CloseSessionGone)
		there["resumed"].wantClosed(0)
		there["other"].wantClosed(0)
		b.store.fail(storage.ErrUnavailable)
		time.Sleep(10 * time.Second)
		there["other"].wantClosed(0)
	})
}

// What was read before a session was opened again closes nobody who came after.
func TestStanding_AnOlderStateClosesNobody(t *testing.T) {
	onBed(t, func(b *bed) {
		s := b.session("s")
		n := b.node()
		s.Version = 5
		x := n.tenant(s)
		for state, want := range map[storage.State]bool{
			{Version: 4, Suspended: true}: false,
			{Version: 5}:                  false,
			{Version: 5, Suspended: true}: true,
			{Version: 6}:                  true,
			{}:                            true,
		} {
			x.version.Store(5)
			if got := x.missed(state) != 0; got != want {
				t.Errorf("%+v means that a word was missed: %v, want %v", state, got, want)
			}
		}
	})
}

func TestStanding_AsksForManyInBatchesSpreadOverARound(t *testing.T) {
	onBed(t, func(b *bed) {
		n := b.node()
		for i := range 2*standingBatch + 1 {
			x := n.tenant(b.session(fmt.Sprint("s", i)))
			x.mu.Lock()
			x.conns = append(x.conns, &Conn{index: -1})
			x.mu.Unlock()
		}
		time.Sleep(2 * standingEvery)
		b.store.mu.Lock()
		b.store.asked = nil
		b.store.mu.Unlock()
		time.Sleep(2*standingEvery - time.Millisecond)
		synctest.Wait()
		b.store.mu.Lock()
		defer b.store.mu.Unlock()
		if got := len(b.store.asked); got < 5 || got > 7 {
			t.Errorf("%d reads in two rounds, want three a round", got)
		}
		for _, sessions := range b.store.asked {
			if sessions > standingBatch {
				t.Errorf("a read of %d sessions, want %d at most", sessions, standingBatch)
			}
		}
	})
}
