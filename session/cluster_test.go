package session

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// two starts two nodes that know each other, with a durable and an ephemeral subscriber of t at the second.
func two(b *bed) (near, far *bedNode, durable, ephemeral, sender *device) {
	b.session("s")
	near, far = b.node(), b.node()
	time.Sleep(4 * time.Second) // a heartbeat
	durable, ephemeral, sender = far.connect("s", "c:a", 2), far.connect("s", "", 2), near.connect("s", "", 2)
	durable.subscribe("t")
	ephemeral.subscribe("t")
	return near, far, durable, ephemeral, sender
}

func TestCluster_MessagesCrossNodesInOneOrder(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, ephemeral, sender := two(b)
		here := near.connect("s", "c:b", 2)
		here.subscribe("t")
		other := far.connect("s", "", 2)
		want := ""
		for i := range 20 {
			sender.publish("t", fmt.Sprint("n", i))
			other.publish("t", fmt.Sprint("f", i))
			want += fmt.Sprintf("n%d f%d ", i, i)
		}
		want = strings.TrimSpace(want)
		durable.wantGot(want)
		ephemeral.wantGot(want)
		here.wantGot(want)
		if acks := strings.Fields(sender.acks()); len(acks) != 20 || acks[19] != "n19=39" {
			t.Errorf("acks = %v", acks)
		}
	})
}

func TestCluster_SameMessageThroughTwoNodesAtOnceIsOne(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, durable, ephemeral, sender := two(b)
		other := far.connect("s", "", 2)
		b.store.hold()
		sender.publish("t", "m1")
		other.publish("t", "m1")
		b.store.mend()
		durable.wantGot("m1")
		ephemeral.wantGot("m1")
		sender.wantAcks("m1=1")
		other.wantAcks("m1=1")
	})
}

func TestCluster_TakeOverStopsTheOldNodeFirst(t *testing.T) {
	onBed(t, func(b *bed) {
		near, _, durable, _, sender := two(b)
		sender.publishAll("t", ids(1, 3))
		durable.ack("m1")
		begun := time.Now()
		next := near.connect("s", "c:a", 2)
		durable.wantClosed(protocol.CloseTakenOver)
		next.wantGot("m2! m3!") // not m1: its ack was in the store first
		if took := time.Since(begun); took > 100*time.Millisecond {
			t.Errorf("the take-over took %v, though the old node answers", took)
		}
		sender.publish("t", "m4")
		next.wantGot("m4")
	})
}

func TestCluster_TakeOverWaits2sForADeafNode(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, _, sender := two(b)
		sender.publish("t", "m1")
		far.plane.set(func(p *faultyPlane) { p.deaf = true })
		next := near.dial("next")
		next.hand(`{"type":"init","sessionName":"s","password":"password","protocol":2,"clientId":"a"}`)
		time.Sleep(1900 * time.Millisecond)
		synctest.Wait()
		if next.has(protocol.TypeInitResponse) {
			t.Error("taken over without waiting for the old node")
		}
		time.Sleep(200 * time.Millisecond)
		next.wantGot("m1!")
		// The deaf node finds out by the attach number of what it settles.
		far.plane.set(func(p *faultyPlane) { p.deaf = false })
		durable.ack("m1")
		time.Sleep(2 * time.Second)
		durable.wantClosed(protocol.CloseTakenOver)
		next.wantClosed(0)
	})
}

// Rule 8.
func TestCopy_OlderThan2sIsDroppedAndComesFromTheStore(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, durable, ephemeral, sender := two(b)
		far.plane.set(func(p *faultyPlane) { p.age = 3 * time.Second })
		sender.publish("t", "m1")
		durable.wantGot("")
		time.Sleep(200 * time.Millisecond)
		durable.wantGot("m1!")
		ephemeral.wantGot("")
	})
}

// Rule 12: a message whose copy was lost is found by its note, and nothing published after its ack overtakes it.
func TestGap_LostCopyIsRepairedBeforeWhatCameLater(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, durable, ephemeral, sender := two(b)
		far.plane.set(func(p *faultyPlane) { p.loseCopy = func(c *backplane.Copy) bool { return c.MessageID == "m1" } })
		sender.publish("t", "m1")
		sender.wantAcks("m1=1")
		sender.publish("t", "m2")
		durable.wantGot("")
		ephemeral.wantGot("m2")
		time.Sleep(150 * time.Millisecond)
		durable.wantGot("m1! m2")
		sender.publish("t", "m3")
		durable.wantGot("m3")
		if got := far.Stats().Repairs; got != 1 {
			t.Errorf("%d repairs, want 1 for all", got)
		}
	})
}

func TestGap_LostNoteIsRepairedAfterAJump(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, _, sender := two(b)
		keep := near.connect("s", "c:k", 2)
		keep.subscribe("t")
		far.plane.set(func(p *faultyPlane) { p.loseNote = func(n *backplane.Note) bool { return n.MessageID == "m1" } })
		sender.publish("t", "m1")
		durable.ack("m1") // its seq is not known
		sender.publish("t", "m2")
		durable.wantGot("m1 m2")
		durable.ack("m2")
		time.Sleep(2 * time.Second)
		near.connect("s", "c:a", 2).wantGot("")
	})
}

func TestGap_NotesOutOfOrderNeedNoRead(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, durable, _, sender := two(b)
		var kept *backplane.Note
		far.plane.set(func(p *faultyPlane) {
			p.loseNote = func(n *backplane.Note) bool {
				if n.MessageID == "m1" && kept == nil {
					kept = n
					return true
				}
				return false
			}
		})
		sender.publishAll("t", ids(1, 2))
		sender.publish("t", "m3")
		durable.wantGot("m1 m2") // the third waits for the gap to close
		far.Note(kept)
		durable.wantGot("m3")
		time.Sleep(time.Second)
		if got := far.Stats().Repairs; got != 0 {
			t.Errorf("%d repairs, want none", got)
		}
	})
}

// Rule 12, where a head tells of the gap: what comes while it is read waits.
func TestGap_LiveCopiesWaitForTheRead(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, durable, _, sender := two(b)
		lose(far, "m1")
		b.store.mu.Lock()
		b.store.reading = 300 * time.Millisecond
		b.store.mu.Unlock()
		sender.publish("t", "m1")
		far.heads.soon()
		time.Sleep(200 * time.Millisecond)
		b.store.hold()
		sender.publish("t", "m2") // undecided: no jump tells of the gap
		durable.wantGot("")
		b.store.mend()
		time.Sleep(time.Second)
		durable.wantGot("m1! m2")
	})
}

// A copy that comes after the store was read is not delivered again to who read it, and not lost to the others.
func TestReplay_SlowCopyIsNotASecondOne(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, durable, ephemeral, sender := two(b)
		away := far.connect("s", "c:b", 2)
		away.subscribe("t")
		away.leave()
		sender.publish("t", "m0")
		durable.wantGot("m0")
		ephemeral.wantGot("m0")
		var copies []*backplane.Copy
		var notes []*backplane.Note
		far.plane.set(func(p *faultyPlane) {
			p.loseCopy = func(c *backplane.Copy) bool { copies = append(copies, c); return true }
			p.loseNote = func(n *backplane.Note) bool { notes = append(notes, n); return true }
		})
		sender.publish("t", "m1")
		back := far.connect("s", "c:b", 2)
		back.wantGot("m0! m1!")
		far.Copies(copies[:1])
		far.Note(notes[0])
		durable.wantGot("m1")
		ephemeral.wantGot("m1")
		back.wantGot("")
		far.plane.set(func(p *faultyPlane) { p.loseCopy, p.loseNote = nil, nil })
		sender.publish("t", "m2")
		back.wantGot("m2")
	})
}

// Rule 14.
func TestHeads_FindALostMessageWithin2s(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, durable, _, sender := two(b)
		lose(far, "m1")
		sender.publish("t", "m1")
		time.Sleep(2 * time.Second)
		durable.wantGot("m1!")
	})
}

func TestHeads_FindALostEverythingWithin15s(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, durable, _, sender := two(b)
		lose(far, "m1")
		far.plane.set(func(p *faultyPlane) { p.loseHeads = true })
		sender.publish("t", "m1")
		time.Sleep(15500 * time.Millisecond)
		durable.wantGot("m1!")
	})
}

// A node that died between its commit and its note.
func TestHeads_AreReadWhenANodesLeaseEnds(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, _, sender := two(b)
		time.Sleep(16 * time.Second) // away from the poll of every 15 s
		lose(far, "m1")
		far.plane.set(func(p *faultyPlane) { p.loseHeads = true })
		sender.publish("t", "m1")
		near.end()
		time.Sleep(4 * time.Second)
		durable.wantGot("m1!")
	})
}

func lose(n *bedNode, id string) {
	n.plane.set(func(p *faultyPlane) {
		p.loseCopy = func(c *backplane.Copy) bool { return c.MessageID == id }
		p.loseNote = func(c *backplane.Note) bool { return c.MessageID == id }
	})
}

// Rule 8. A node that was frozen hears old copies, and then announces what its own clients had sent it meanwhile, some
// of which they had sent through others too.
func TestAnnounce_WhatCameLateDoesNotComeAgainAsNew(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, durable, ephemeral, sender := two(b)
		twin := far.connect("s", "", 2)
		far.plane.set(func(p *faultyPlane) { p.age = copyStale + time.Second })
		sender.publish("t", "m1")
		sender.wantAcks("m1=1")
		far.plane.set(func(p *faultyPlane) { p.age = 0 })
		sender.publish("t", "m2")
		twin.publish("t", "m1")
		time.Sleep(200 * time.Millisecond)
		durable.wantGot("m1! m2")
		ephemeral.wantGot("m2 m1!")
		twin.wantAcks("m1=1")
	})
}

// Rule 12. What a repair reads may have been published after what is held was acked.
func TestRepair_WhatItReadsDoesNotOvertakeWhatIsHeld(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, durable, _, sender := two(b)
		far.plane.set(func(p *faultyPlane) {
			p.loseCopy = func(c *backplane.Copy) bool { return c.MessageID == "m1" || c.MessageID == "m3" }
			p.loseNote = func(c *backplane.Note) bool { return c.MessageID == "m3" }
		})
		sender.publishAll("t", ids(1, 3)) // m1 opens a gap, m2 is held, m3 is not known of
		sender.wantAcks("m1=1 m2=2 m3=3")
		time.Sleep(200 * time.Millisecond)
		durable.wantGot("m1! m2 m3!")
		durable.ackAll(ids(1, 3))
		time.Sleep(10 * time.Second)
		sender.publish("t", "m4")
		durable.wantGot("m4")
	})
}

// A repeat's note comes long after the first ack.
func TestRepair_ARepeatsNoteMovesNothingBehindWhatCameAfterItsAck(t *testing.T) {
	onBed(t, func(b *bed) {
		_, far, durable, _, sender := two(b)
		far.plane.set(func(p *faultyPlane) {
			p.loseCopy = func(c *backplane.Copy) bool { return c.MessageID == "m1" }
			p.loseNote = func(n *backplane.Note) bool { return n.MessageID == "m1" }
		})
		sender.publish("t", "m1") // lost as if its node's link were down
		far.plane.set(func(p *faultyPlane) { p.loseNote = nil })
		sender.publish("t", "m2")
		sender.publish("t", "m3")
		sender.publish("t", "m1", `"retry":true`)
		time.Sleep(200 * time.Millisecond)
		durable.wantGot("m2 m1! m3") // m2 came before anybody knew of a gap
	})
}

// What is of qos 0 has no number that tells where it stands: what may have been published after its ack comes behind it.
func TestRepair_WhatItReadsDoesNotOvertakeWhatIsHeldOfQos0(t *testing.T) {
	lost := func(id string) bool { return id == "m1" || id == "m3" }
	for name, c := range map[string]struct {
		loseNote func(n *backplane.Note) bool
		want     string
	}{
		"the note came":        {nil, "m1! m2 q1 m3! q2"},
		"the note is lost too": {func(n *backplane.Note) bool { return n.MessageID == "m3" }, "m1! m2 q1 q2 m3!"},
	} {
		t.Run(name, func(t *testing.T) {
			onBed(t, func(b *bed) {
				_, far, durable, _, sender := two(b)
				far.plane.set(func(p *faultyPlane) {
					p.loseCopy, p.loseNote = func(c *backplane.Copy) bool { return lost(c.MessageID) }, c.loseNote
				})
				sender.publish("t", "m1") // opens a gap
				sender.publish("t", "m2")
				sender.publish("t", "q1", `"qos":0`)
				sender.publish("t", "m3")
				sender.publish("t", "q2", `"qos":0`)
				sender.wantAcks("m1=1 m2=2 q1 m3=3 q2")
				time.Sleep(200 * time.Millisecond)
				durable.wantGot(c.want)
			})
		})
	}
}

func TestLink_DownServesFromTheStoreAndBackLosesNothing(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, _, sender := two(b)
		local := near.connect("s", "c:b", 2)
		local.subscribe("t")
		sender.publish("t", "m1")
		durable.wantGot("m1")
		local.wantGot("m1")
		for _, n := range []*bedNode{near, far} {
			n.plane.set(func(p *faultyPlane) { p.deaf = true })
			n.plane.Link(false)
		}
		sender.publish("t", "m2")
		sender.wantAcks("m1=1 m2=2")
		local.wantGot("m2!") // at once, behind the commit
		time.Sleep(1500 * time.Millisecond)
		durable.wantGot("m2!") // found by the heads
		far.connect("s", "", 2).publish("t", "m3")
		time.Sleep(1500 * time.Millisecond)
		local.wantGot("m3!")
		durable.wantGot("m3!")
		sender.publish("t", "m4")
		for _, n := range []*bedNode{near, far} {
			n.plane.set(func(p *faultyPlane) { p.deaf = false })
			n.plane.Link(true)
		}
		time.Sleep(200 * time.Millisecond)
		durable.wantGot("m4!")
		local.wantGot("m4!")
		sender.publish("t", "m5")
		durable.wantGot("m5")
		local.wantGot("m5")
	})
}

// What was lost with the link goes out as a repeat: behind it came what was published later.
func TestLink_DownServesWhatWasAnnouncedAsARepeat(t *testing.T) {
	onBed(t, func(b *bed) {
		near, _, _, _, sender := two(b)
		local := near.connect("s", "", 2)
		local.subscribe("t")
		lose(near, "m1")
		b.store.hold()
		sender.publishAll("t", ids(1, 2))
		local.wantGot("m2")
		near.plane.set(func(p *faultyPlane) { p.deaf = true })
		near.plane.Link(false)
		b.store.mend()
		local.wantGot("m1+1")
	})
}

// A node that alone was cut off: the others' links stood, so nothing had them look into the store.
func TestLink_BackTellsOthersWhatItCommittedMeanwhile(t *testing.T) {
	onBed(t, func(b *bed) {
		near, _, durable, _, sender := two(b)
		near.plane.set(func(p *faultyPlane) { p.deaf = true })
		near.plane.Link(false)
		sender.publish("t", "m1")
		sender.wantAcks("m1=1")
		time.Sleep(3500 * time.Millisecond) // some ticks of the heads
		near.plane.set(func(p *faultyPlane) { p.deaf = false })
		near.plane.Link(true)
		time.Sleep(1500 * time.Millisecond)
		durable.wantGot("m1!")
	})
}

func TestLink_UndecidedCopiesAreNotSentTwice(t *testing.T) {
	onBed(t, func(b *bed) {
		near, far, durable, _, sender := two(b)
		b.store.hold()
		sender.publish("t", "m1")
		durable.wantGot("m1")
		far.plane.set(func(p *faultyPlane) { p.deaf = true })
		far.plane.Link(false)
		b.store.mend()
		time.Sleep(2 * time.Second)
		durable.wantGot("")
		far.plane.set(func(p *faultyPlane) { p.deaf = false })
		far.plane.Link(true)
		time.Sleep(200 * time.Millisecond)
		sender.publish("t", "m2")
		durable.ackAll(ids(1, 2))
		time.Sleep(2 * time.Second)
		durable.wantGot("m2")
		near.connect("s", "c:a", 2).wantGot("")
	})
}

// Rule 15.
func TestHistory_AnotherOneReadsEveryPositionAgain(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.publishAll("t", ids(1, 3))
		sub.ack("m1")
		time.Sleep(2 * time.Second)
		sub.wantGot("m1 m2 m3")
		b.store.newHistory()
		time.Sleep(17 * time.Second) // a poll of the heads at the latest
		if got := sub.got(); !strings.HasPrefix(strings.NewReplacer("m2+1 m3+1 ", "", "m2+2 m3+2 ", "").Replace(got), "m2! m3!") {
			t.Errorf("got %q, want m2 and m3 replayed", got)
		}
		if got := n.Stats().Rewinds; got != 1 {
			t.Errorf("%d rewinds, want 1", got)
		}
		sender.publish("t", "m4")
		if got := sub.got(); !strings.HasSuffix(got, "m4") {
			t.Errorf("got %q, want m4 live", got)
		}
	})
}

// An ack that was on its way when the history changed names, by its seq, another message of the new one.
func TestHistory_AcksOfTheOldOneSettleNothingOfTheNew(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.publish("t", "m1")
		sub.ack("m1")
		b.store.newHistory()
		time.Sleep(3 * time.Second)
		sub.wantGot("m1 m1!")
		sub.ack("m1")
		time.Sleep(3 * time.Second)
		sub.wantGot("")
		if totals, err := b.store.Totals(b.Context()); err != nil || totals.Messages != 0 {
			t.Errorf("%d messages are kept (%v), want none: the ack of the new history counts", totals.Messages, err)
		}
	})
}

func (s *faultyStore) newHistory() { s.mu.Lock(); s.epoch += "next-"; s.mu.Unlock() }

func TestSubscribe_WithoutTheBackplaneRestsOnTheStore(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		durable, ephemeral := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		n.plane.set(func(p *faultyPlane) { p.fenceless = true })
		durable.hand(`{"type":"subscribe","topic":"t"}`)
		ephemeral.hand(`{"type":"subscribe","topic":"t"}`)
		time.Sleep(4 * time.Second)
		if f := durable.last(protocol.TypeSubscribeResponse); !f.Success {
			t.Errorf("durable: %+v", f)
		}
		if f := ephemeral.last(protocol.TypeSubscribeResponse); f.Success || f.Code != protocol.Unavailable || !f.Retryable {
			t.Errorf("ephemeral: %+v, want unavailable", f)
		}
	})
}

func TestSeen_RenewsWhatIsAttached(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s", func(s *storage.Session) { s.SubscriptionExpiry = 5 * time.Minute })
		n := b.node()
		stay, leave, sender := n.connect("s", "c:a", 2), n.connect("s", "c:b", 2), n.connect("s", "", 2)
		stay.subscribe("t")
		leave.subscribe("t")
		leave.leave()
		time.Sleep(10 * time.Minute)
		sender.publish("t", "m1")
		stay.wantGot("m1")
		if f := n.connect("s", "c:b", 2).last(protocol.TypeInitResponse); f.Resumed || len(f.Topics) != 0 {
			t.Errorf("init_response = %+v, want the subscription to have expired", f)
		}
		stay.leave()
		n.connect("s", "c:a", 2).wantGot("m1!")
	})
}

func TestRetention_NothingIsKeptOnceEveryoneHasAcked(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		one, other, sender := n.connect("s", "c:a", 2), n.connect("s", "c:b", 2), n.connect("s", "", 2)
		one.subscribe("t")
		other.subscribe("t")
		sender.publishAll("t", ids(1, 5))
		one.ackAll(ids(1, 5))
		other.ackAll(ids(1, 4))
		time.Sleep(3 * time.Second)
		totals, err := b.store.Totals(b.Context())
		if err != nil || totals.Messages != 1 {
			t.Errorf("%d messages are kept (%v), want the one that is owed", totals.Messages, err)
		}
	})
}

// A feed that read its page before the topic went on must read again before it goes live.
func TestReplay_TopicThatWentOnDuringTheReadIsReadAgain(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		keep, sub, sender := n.connect("s", "c:k", 2), n.connect("s", "c:a", 2), n.connect("s", "", 2)
		keep.subscribe("t")
		sub.subscribe("t")
		sub.leave()
		sender.publish("t", "m1")
		b.store.mu.Lock()
		b.store.reading = 300 * time.Millisecond
		b.store.mu.Unlock()
		back := n.connect("s", "c:a", 2) // its page ends at m1
		sender.publish("t", "m2")
		sender.wantAcks("m1=1 m2=2")
		time.Sleep(time.Second)
		sender.publish("t", "m3")
		back.wantGot("m1! m2! m3")
	})
}
