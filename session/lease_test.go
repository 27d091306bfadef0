package session

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/protocol"
)

// freeze has a node hang as SIGSTOP does, seen from the others: nothing that it says gets out, nothing gets in.
func (n *bedNode) freeze() { n.plane.set(func(p *faultyPlane) { p.frozen, p.deaf = true, true }) }

func (n *bedNode) thaw() { n.plane.set(func(p *faultyPlane) { p.frozen, p.deaf = false, false }) }

// A node that hung for 20 s: its lease is over, its clients are elsewhere, and nobody told it.
func TestLease_AfterItsLeaseANodeFindsWhoWasTakenOver(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, _, sender := two(b)
		sender.publish("t", "m1")
		durable.wantGot("m1")
		far.freeze()
		time.Sleep(11 * time.Second)
		begun := time.Now()
		next := near.connect("s", "c:a", 2)
		if took := time.Since(begun); took > 100*time.Millisecond {
			t.Errorf("the log-in took %v: it waited for a node whose lease is over", took)
		}
		next.wantGot("m1!")
		time.Sleep(9 * time.Second)
		durable.wantClosed(0)
		far.thaw()
		time.Sleep(4500 * time.Millisecond) // a heartbeat, and what it finds
		durable.wantClosed(protocol.CloseTakenOver)
		next.wantClosed(0)
	})
}

// What a client sent before it moved away is still in the sockets of the node that hung: it must not be announced
// when it is stored already.
func TestLease_AfterItsLeaseANodeAppendsBeforeItAnnounces(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, _, _, sender := two(b)
		keep := near.connect("s", "c:k", 2)
		keep.subscribe("t")
		stuck := far.connect("s", "", 2)
		far.freeze()
		sender.publish("t", "m1", `"retry":true`) // what stuck's client does, elsewhere
		time.Sleep(19500 * time.Millisecond)
		announced := 0
		near.plane.set(func(p *faultyPlane) { p.loseCopy = func(*backplane.Copy) bool { announced++; return false } })
		far.thaw()
		stuck.publish("t", "m1")
		stuck.wantAcks("m1=1")
		if announced != 0 {
			t.Error("announced, though it was stored already")
		}
		stuck.publish("t", "m2")
		stuck.wantAcks("m2=2")
		keep.got()
		time.Sleep(4 * time.Second)
		keep.got()
		b.store.hold()
		stuck.publish("t", "m3") // its lease is renewed: live again
		keep.wantGot("m3")
	})
}

// A word that comes late must not end the connection with which its client came back.
func TestLease_ALateTakeOverEndsNoNewerConnection(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, _, _, _ := two(b)
		far.freeze()
		time.Sleep(15 * time.Second)
		back := far.dial("back")
		back.hand(`{"type":"init","sessionName":"s","password":"password","protocol":2,"clientId":"b"}`)
		time.Sleep(4 * time.Second)
		if !back.last(protocol.TypeInitResponse).Success {
			t.Fatal("not logged in")
		}
		far.Command(&backplane.Command{Kind: backplane.TakeOver, Session: back.peer.(*Conn).tenant.id, Name: "s", Subscriber: "c:b", Node: "n1"})
		time.Sleep(2 * time.Second)
		back.wantClosed(0)
		far.thaw()
	})
}

func TestLease_UsersOfAKilledNodeAreOfflineWithin15s(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, _, _ := two(b)
		online := func() bool {
			list, err := near.bus.Online(b.Context(), durable.peer.(*Conn).tenant.id, []string{"c:a"})
			if err != nil {
				t.Fatal(err)
			}
			return list[0]
		}
		if !online() {
			t.Fatal("not online")
		}
		far.freeze() // it says no goodbye
		far.stop()
		time.Sleep(15 * time.Second)
		if online() {
			t.Error("online, 15 s after its node was killed")
		}
	})
}

// While Redis is frozen log-ins take three seconds at most, and nothing that is live waits for it.
func TestLease_AFrozenBackplaneHoldsNobodyForLong(t *testing.T) {
	onBed(t, func(b *bed) {
		near, _, _, _, sender := two(b)
		local := near.connect("s", "c:b", 2)
		local.subscribe("t")
		near.plane.set(func(p *faultyPlane) { p.frozen, p.mute = true, true })
		time.Sleep(2500 * time.Millisecond) // a heartbeat hangs about now
		sender.hand(publishFrame("t", "m1"))
		local.wantGot("m1")
		time.Sleep(3100 * time.Millisecond)
		sender.wantAcks("m1=1")
		next := near.dial("next")
		begun := time.Now()
		next.hand(`{"type":"init","sessionName":"s","password":"password","protocol":2,"clientId":"z"}`)
		for !next.has(protocol.TypeInitResponse) {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		if took := time.Since(begun); took > 3100*time.Millisecond {
			t.Errorf("the log-in took %v, want 3 s at most", took)
		}
	})
}

// Words that were lost with the link are made good when it is back.
func TestLink_BackFindsWhoWasTakenOverMeanwhile(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, _, sender := two(b)
		sender.publish("t", "m1")
		far.plane.set(func(p *faultyPlane) { p.deaf = true })
		far.plane.Link(false)
		next := near.dial("next")
		next.hand(`{"type":"init","sessionName":"s","password":"password","protocol":2,"clientId":"a"}`)
		time.Sleep(2100 * time.Millisecond)
		next.wantGot("m1!")
		durable.wantClosed(0)
		far.plane.set(func(p *faultyPlane) { p.deaf = false })
		far.plane.Link(true)
		time.Sleep(time.Second)
		durable.wantClosed(protocol.CloseTakenOver)
		next.wantClosed(0)
	})
}

// Every node hears every Released: one that answers another's must not count.
func TestTakeOver_AnswersToAnotherNodeDoNotCount(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far := b.node(), b.node()
		mine, _ := near.releases.expect([]string{"n2"})
		theirs, _ := far.releases.expect([]string{"n1"})
		if mine == theirs {
			t.Errorf("both wait for answers to %d", mine)
		}
	})
}
