package session

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// logIn hands in a client's init without waiting for what comes of it.
func (n *bedNode) logIn(client string) *device {
	d := n.dial(client)
	d.hand(fmt.Sprintf(`{"type":"init","sessionName":"s","password":"password","protocol":2,"clientId":%q}`, client))
	return d
}

// Log-ins of one client that overlap, through two nodes: each would find nobody to take over.
func TestEntry_OfTwoLogInsThroughTwoNodesOneIsServed(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, _, sender := two(b)
		durable.leave()
		time.Sleep(time.Second) // its presence is gone
		for _, n := range []*bedNode{near, far} {
			n.plane.set(func(p *faultyPlane) { p.slow = 10 * time.Millisecond }) // they overlap
		}
		one, other := near.logIn("a"), far.logIn("a")
		time.Sleep(300 * time.Millisecond)
		sender.publish("t", "m1")
		got := []string{one.got(), other.got()}
		if got[0]+got[1] != "m1" {
			t.Errorf("the two connections got %q, want m1 on one of them", got)
		}
	})
}

// One that stands still in the middle of its log-in is passed by, and finds out.
func TestEntry_ALogInThatWasPassedByIsNotServed(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, _, sender := two(b)
		durable.leave()
		time.Sleep(time.Second)
		near.plane.set(func(p *faultyPlane) { p.slow = 1900 * time.Millisecond })
		late := near.logIn("a") // Claim and Elsewhere take 3.8 s
		time.Sleep(1950 * time.Millisecond)
		next := far.logIn("a")
		time.Sleep(10 * time.Second)
		late.wantClosed(protocol.CloseTakenOver)
		if late.has(protocol.TypeInitResponse) {
			t.Error("it was logged in")
		}
		next.wantClosed(0)
		sender.publish("t", "m1")
		next.wantGot("m1")
	})
}

// A client that comes back to a node which never heard that it was taken over, and so holds its old connection still.
func TestTakeOver_AnOldConnectionHereDoesNotHideANewerOneElsewhere(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, _, sender := two(b)
		far.plane.set(func(p *faultyPlane) { p.deaf = true })
		moved := near.logIn("a")
		time.Sleep(2100 * time.Millisecond) // it waited for the deaf node
		far.plane.set(func(p *faultyPlane) { p.deaf = false })
		back := far.logIn("a")
		time.Sleep(100 * time.Millisecond)
		durable.wantClosed(protocol.CloseTakenOver)
		moved.wantClosed(protocol.CloseTakenOver)
		back.wantClosed(0)
		sender.publish("t", "m1")
		back.wantGot("m1")
	})
}

// Who was confirmed before an ack gets the message, also where it was committed before, through another node.
func TestSubscribe_IsConfirmedBehindTheAcksOfOtherNodesToo(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, _, _, sender := two(b)
		near.plane.set(func(p *faultyPlane) { p.muteNotes = true }) // its ack waits 3 s for the note
		sender.publish("t", "m0")
		time.Sleep(2 * time.Second)
		sub := far.connect("s", "c:b", 2)
		sub.send(`{"type":"subscribe","topic":"t"}`)
		if sub.has(protocol.TypeSubscribeResponse) {
			t.Error("confirmed before the ack of what it misses")
		}
		sender.wantAcks("")
		time.Sleep(1100 * time.Millisecond)
		sender.wantAcks("m0=1")
		if f := sub.last(protocol.TypeSubscribeResponse); !f.Success {
			t.Errorf("subscribe_response = %+v", f)
		}
	})
}

func TestSubscribe_WaitsNoLongerThan2sForAnotherNode(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, _, _, sender := two(b)
		sender.publish("t", "m0")
		near.plane.set(func(p *faultyPlane) { p.deaf = true })
		sub := far.connect("s", "c:b", 2)
		begun := time.Now()
		sub.hand(`{"type":"subscribe","topic":"t"}`)
		for !sub.has(protocol.TypeSubscribeResponse) {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(begun); took > 2100*time.Millisecond {
			t.Errorf("the subscribe took %v, want 2 s at most", took)
		}
	})
}

// Nobody is left to be told what a repair finds.
func TestRepair_EndsWhereItsSubscribersLeftMeanwhile(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, durable, _, sender := two(b)
		far.plane.set(func(p *faultyPlane) { p.loseNote = func(*backplane.Note) bool { return true } })
		b.store.mu.Lock()
		b.store.reading = 2 * time.Second
		b.store.mu.Unlock()
		sender.publish("t", "m1")
		durable.wantGot("m1")
		time.Sleep(2 * time.Second) // its head is heard, and the gap is being read
		if far.Stats().Repairs == 0 {
			t.Fatal("no repair has begun")
		}
		durable.leave()
		time.Sleep(2 * time.Second)
		back := far.connect("s", "c:a", 2)
		time.Sleep(3 * time.Second)
		back.wantGot("m1!")
	})
}

// A user leaves a topic on one node and enters it again on another, which has not heard of the former.
func TestUser_SubscribesAgainWhatWasLeftThroughAnotherNode(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, phone, laptop, sender := bothSides(b)
		time.Sleep(2 * time.Second) // what the log-ins look at is done
		phone.send(`{"type":"unsubscribe","topic":"t"}`)
		laptop.subscribe("t")
		laptop.leave()
		sender.publish("t", "m1")
		sender.wantAcks("m1=1")
		far.connect("s", "u:a", 2).wantGot("m1!")
	})
}

// A page may hold what the user acked elsewhere a moment ago, while another subscriber is owed it still.
func TestUser_WhatWasAckedThroughAnotherNodeIsNotReadBack(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, phone, laptop, sender := bothSides(b, func(c *Config) { c.MaxInFlight = 1 })
		keep := near.connect("s", "c:keep", 2)
		keep.subscribe("t")
		sender.publish("t", "m1")
		laptop.wantGot("m1") // its window is full
		for i := 2; i < 5; i++ {
			phone.ack(fmt.Sprint("m", i-1))
			sender.publish("t", fmt.Sprint("m", i))
		}
		phone.ack("m4")
		time.Sleep(2 * time.Second)
		laptop.ack("m1")
		time.Sleep(2 * time.Second)
		laptop.wantGot("")
		if got := far.Stats().GivenUp; got != 0 {
			t.Errorf("%d given up", got)
		}
	})
}

// A client goes and comes back through another node at once: what it acked last is in the store before nobody is there
// to be taken over.
func TestPresence_OutlivesWhatWasSettled(t *testing.T) {
	onBed(t, func(b *bed) {
		near, _, durable, _, sender := two(b)
		sender.publish("t", "m1")
		durable.ack("m1")
		b.store.mu.Lock()
		b.store.settling = 50 * time.Millisecond
		b.store.mu.Unlock()
		durable.mu.Lock()
		durable.code = protocol.CloseNormal
		durable.mu.Unlock()
		durable.peer.Closed()
		time.Sleep(10 * time.Millisecond)
		next := near.logIn("a")
		time.Sleep(time.Second)
		next.wantGot("")
	})
}

// An ack that came before the note is not lost with the connection, or with the node's interest in the topic.
func TestAck_ThatCameEarlyOutlivesItsConnection(t *testing.T) {
	onBed(t, func(b *bed) {
		near, _, durable, ephemeral, sender := two(b)
		b.store.hold()
		sender.publish("t", "m1")
		durable.ack("m1")
		durable.leave()
		ephemeral.leave()
		time.Sleep(4 * time.Second) // nobody there is interested any more
		b.store.mend()
		time.Sleep(2 * time.Second)
		near.connect("s", "c:a", 2).wantGot("")
	})
}

// A copy whose note was lost, and whose row everybody has settled, is neither sent again nor read back.
func TestGap_WhatIsSettledForAllIsNotSentAgainForALostNote(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, phone, laptop, sender := bothSides(b)
		far.plane.set(func(p *faultyPlane) { p.loseNote = func(n *backplane.Note) bool { return n.MessageID == "m1" } })
		sender.publish("t", "m1")
		laptop.wantGot("m1")
		phone.ack("m1")
		time.Sleep(2500 * time.Millisecond) // swept
		sender.publish("t", "m2")           // a jump
		phone.ack("m2")
		laptop.wantGot("m2")
		time.Sleep(15 * time.Second)
		laptop.wantGot("")
		far.connect("s", "u:a", 2).wantGot("")
	})
}

// But if the store's word comes after all, whoever went live without the copy gets it.
func TestGap_ACopyThatWasDoubtedComesWithItsLateNote(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, durable, _, sender := two(b)
		b.store.hold()
		sender.hand(publishFrame("t", "m1")) // its node hangs behind this
		durable.wantGot("m1")
		time.Sleep(11 * time.Second)
		tp := far.topicOf(durable.peer.(*Conn).tenant.id, "t")
		tp.doubted.Store(1) // as after a read that found no row for some number
		late := far.connect("s", "c:b", 2)
		late.subscribe("t")
		late.wantGot("")
		durable.got()
		b.store.mend()
		row, err := b.store.Store.Read(b.Context(), tp.stored(), 0, 10, 1<<20)
		if err != nil || row.Head != 0 {
			t.Fatalf("head %d (%v)", row.Head, err)
		}
		r, epoch, err := b.store.Store.Append(b.Context(), []storage.Entry{{Topic: tp.stored(), MessageID: "m1", Data: []byte("data of m1"), Expiry: time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		far.Note(&backplane.Note{Channel: tp.channel, MessageID: "m1", Seq: r[0].Seq, Epoch: epoch})
		late.wantGot("m1!")
		durable.wantGot("")
	})
}

// A window may be full of copies whose notes have not come when the store is read.
func TestReplay_WhatIsOutIsNotReadBackBeforeItsNote(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		near, far := b.node(), b.node(func(c *Config) { c.MaxInFlight = 2 })
		time.Sleep(4 * time.Second)
		sub, sender := far.connect("s", "c:a", 2), near.connect("s", "", 2)
		sub.subscribe("t")
		far.plane.set(func(p *faultyPlane) { p.loseNote = func(n *backplane.Note) bool { return n.MessageID == "m2" } })
		sender.publishAll("t", ids(1, 4))
		sub.ack("m1")
		synctest.Wait()
		time.Sleep(time.Second)
		sub.wantGot("m1 m2 m3!")
		sub.ackAll(ids(2, 3))
		time.Sleep(time.Second)
		sub.wantGot("m4!")
	})
}

// What was committed without a word, and read back meanwhile, is announced once more: its durable subscribers have it.
func TestAnnounce_OnceMoreReachesNoReaderAgain(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		near, far := b.node(), b.node()
		time.Sleep(4 * time.Second)
		first := near.connect("s", "c:a", 2)
		first.subscribe("t")
		first.leave()
		b.store.untold(3)
		near.connect("s", "", 1).hand(publishFrame("t", "m1"))
		time.Sleep(100 * time.Millisecond)
		back := far.connect("s", "c:a", 2)
		back.wantGot("m1!")
		time.Sleep(2 * time.Second)
		back.wantGot("")
	})
}

// Two lost copies, the second published after the first's ack; and what is held came in between.
func TestRepair_PutsWhatWasLostWhereItsNoteCameBy(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, _, sender := two(b)
		other := near.connect("s", "", 2)
		far.plane.set(func(p *faultyPlane) {
			p.loseCopy = func(c *backplane.Copy) bool { return c.MessageID == "m1" || c.MessageID == "m3" }
		})
		sender.publish("t", "m1") // opens the gap
		sender.publish("t", "m2")
		other.publish("t", "m3")
		sender.publish("t", "m4")
		time.Sleep(200 * time.Millisecond)
		durable.wantGot("m1! m2 m3! m4")
	})
}

// A copy that waited on its way, at a node that stood still for a moment, has less time left.
func TestExpiry_IsReckonedFromTheAnnounce(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s", func(s *storage.Session) { s.MessageExpiry = 6 * time.Second })
		near, far := b.node(), b.node()
		time.Sleep(4 * time.Second)
		sub, sender := far.connect("s", "c:a", 2), near.connect("s", "", 2)
		sub.subscribe("t")
		far.plane.set(func(p *faultyPlane) { p.age = 1500 * time.Millisecond })
		sender.publish("t", "m1")
		sub.wantGot("m1")
		time.Sleep(10 * time.Second)
		sub.wantGot("") // the retry would be 6.5 s after the announce
	})
}

// What a user's other connection sent waits for a gap to close, and is over by then.
func TestExpiry_EndsWhatOnesOtherConnectionSent(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s", func(s *storage.Session) { s.MessageExpiry = 6 * time.Second })
		near, far := b.node(), b.node()
		time.Sleep(4 * time.Second)
		phone, laptop, sender := near.connect("s", "u:a", 2), far.connect("s", "u:a", 2), near.connect("s", "", 2)
		phone.subscribe("t")
		laptop.subscribe("t")
		lose(far, "m1")
		b.store.mu.Lock()
		b.store.reading = 8 * time.Second
		b.store.mu.Unlock()
		sender.publish("t", "m1")
		far.heads.soon()
		time.Sleep(200 * time.Millisecond)
		phone.publish("t", "m2")
		time.Sleep(20 * time.Second)
		laptop.wantGot("")
	})
}

// A messageId names a message of its topic.
func TestCluster_AnIdUsedAgainOnAnotherTopicIsAnotherMessage(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, _, sender := two(b)
		durable.subscribe("u")
		other := far.connect("s", "", 2)
		sender.publish("t", "m1")
		other.publish("u", "m1")
		durable.wantGot("m1 m1")
		sender.wantAcks("m1=1")
		other.wantAcks("m1=1")
		durable.send(`{"type":"ack","messageId":"m1","topic":"t"}`)
		time.Sleep(2 * time.Second)
		near.connect("s", "c:a", 2).wantGot("m1!") // u's
	})
}

// Nobody is owed their own, whichever node they publish through and are subscribed at.
func TestOwn_IsNotSentToItsPublisherThroughAnotherNode(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, _, _, _ := two(b)
		user, same := near.connect("s", "u:a", 2), far.connect("s", "u:a", 2)
		user.subscribe("t")
		same.subscribe("t")
		user.publish("t", "m1")
		user.wantGot("")
		same.wantGot("m1") // each connection gets what is live, but for the publishing one
		user.leave()
		same.leave()
		far.connect("s", "u:a", 2).wantGot("")

		client := near.connect("s", "c:x", 2)
		client.subscribe("t")
		client.publish("t", "m2")
		client.leave()
		far.connect("s", "c:x", 2).wantGot("")
	})
}

// A node that is back after its lease answers too: it says nothing of the one that has the client.
func TestTakeOver_WaitsForTheNodesThatAreThere(t *testing.T) {
	onBed(t, func(b *bed) {
		near, _, durable, _, sender := two(b)
		third := b.node()
		third.plane.set(func(p *faultyPlane) { p.frozen = true })
		time.Sleep(11 * time.Second) // its lease has ended
		sender.publish("t", "m1")
		durable.ack("m1")
		b.store.mu.Lock()
		b.store.settling = 300 * time.Millisecond
		b.store.mu.Unlock()
		third.plane.set(func(p *faultyPlane) { p.frozen = false })
		if ids, err := near.others(b.Context()); err != nil || len(ids) != 1 {
			t.Fatalf("the others are %v (%v), want the one that has the client", ids, err)
		}
		next := near.logIn("a")
		time.Sleep(time.Second)
		next.wantGot("")
	})
}

// The node that has the client is busy with it for longer than it is waited for: it finds afterwards that it is over.
func TestTakeOver_OfABusyConnectionIsMadeUpFor(t *testing.T) {
	for version := 1; version <= 2; version++ {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			onBed(t, func(b *bed) {
				near, far, durable, _, sender := two(b)
				old := far.connect("s", "c:a", version)
				durable.wantClosed(protocol.CloseTakenOver)
				far.plane.set(func(p *faultyPlane) { p.fenceless = true })
				old.hand(`{"type":"subscribe","topic":"u"}`) // for 3 s
				next := near.logIn("a")
				time.Sleep(3500 * time.Millisecond)
				far.plane.set(func(p *faultyPlane) { p.fenceless = false })
				if version == 1 {
					old.send(`{"type":"subscribe","topic":"t"}`)
				}
				sender.publish("t", "m1")
				old.wantClosed(protocol.CloseTakenOver)
				old.wantGot("")
				next.wantGot("m1")
			})
		})
	}
}

// Its connection is gone, and the note is lost: the ack is told when the client comes back and the store is read.
func TestAck_ThatCameEarlyOutlivesALostNote(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, durable, ephemeral, sender := two(b)
		b.store.hold()
		sender.publish("t", "m1")
		durable.ack("m1")
		durable.leave()
		ephemeral.leave()
		far.plane.set(func(p *faultyPlane) { p.loseNote = func(*backplane.Note) bool { return true } })
		b.store.mend()
		time.Sleep(30 * time.Second)
		far.connect("s", "c:a", 2).wantGot("")
	})
}

// A node that stops while the store is away has some seconds left for what was acked.
func TestRun_CarriesTheLastAcksWhenTheStoreComesBack(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, _, sender := two(b)
		sender.publish("t", "m1")
		b.store.fail(storage.ErrUnavailable)
		durable.ack("m1")
		durable.leave()
		far.stop()
		time.Sleep(2 * time.Second)
		b.store.mend()
		time.Sleep(time.Second)
		near.connect("s", "c:a", 2).wantGot("")
	})
}

// What was committed without a word is sent through another node and acked there; then its first node announces it, behind
// what was published after that ack.
func TestAnnounce_BehindItsOwnNoteIsLate(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, ephemeral, sender := two(b)
		again := far.connect("s", "", 1)
		b.store.untold(1)
		near.connect("s", "", 1).hand(publishFrame("t", "m1"))
		time.Sleep(time.Millisecond)
		again.publish("t", "m1")
		again.wantAcks("m1=1")
		sender.publish("t", "m2")
		time.Sleep(300 * time.Millisecond)
		durable.wantGot("m1! m2")
		ephemeral.wantGot("m2 m1!")
	})
}
