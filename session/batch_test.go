package session

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/protocol"
)

// burst hands in frames as if one read had brought them.
func (d *device) burst(frames ...string) {
	d.hasty = true
	for i, frame := range frames {
		d.hasty = i < len(frames)-1
		d.hand(frame)
	}
	synctest.Wait()
}

func publishes(topic string, from, to int) (frames []string) {
	for i := from; i <= to; i++ {
		frames = append(frames, publishFrame(topic, fmt.Sprint("m", i)))
	}
	return frames
}

// list is "m1 m2 …", each with what follows it.
func list(from, to int, format string) string {
	var out []string
	for i := from; i <= to; i++ {
		out = append(out, strings.ReplaceAll(format, "#", fmt.Sprint(i)))
	}
	return strings.Join(out, " ")
}

func TestBatch_WhatComesInOneReadKeepsItsOrder(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		durable, ephemeral, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2), n.connect("s", "", 2)
		durable.subscribe("t")
		ephemeral.subscribe("t")
		frames := publishes("t", 1, 100) // more than one batch
		frames[40] = publishFrame("t", "m41", `"qos":0`)
		sender.burst(frames...)
		durable.wantGot(list(1, 100, "m#"))
		ephemeral.wantGot(list(1, 100, "m#"))
		seq := 0
		var acks []string
		for i := 1; i <= 100; i++ {
			if i != 41 {
				seq++
				acks = append(acks, fmt.Sprintf("m%d=%d", i, seq))
			}
		}
		got := strings.Fields(sender.acks())
		if len(got) != 100 || strings.Join(deleted(got, "m41"), " ") != strings.Join(acks, " ") {
			t.Errorf("acks = %q", got)
		}
	})
}

func deleted(list []string, what string) (rest []string) {
	for _, s := range list {
		if s != what {
			rest = append(rest, s)
		}
	}
	return rest
}

func TestBatch_NothingIsPublishedBeforeTheReadIsOver(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.hasty = true
		sender.send(publishFrame("t", "m1"))
		sender.send(`{"type":"ping"}`)
		sender.wantAcks("")
		sub.wantGot("")
		sender.peer.Rest()
		sub.wantGot("m1")
		sender.wantAcks("m1=1")
	})
}

func TestBatch_WhatFollowsAPublishIsDoneBehindIt(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		other, d := n.connect("s", "c:a", 2), n.connect("s", "c:b", 2)
		other.subscribe("t")
		d.hasty = true
		d.send(publishFrame("t", "m1"))
		d.send(`{"type":"subscribe","topic":"t"}`)
		other.wantGot("m1")
		d.peer.Rest()
		if f := d.last(protocol.TypeSubscribeResponse); !f.Success {
			t.Fatalf("subscribe_response = %+v", f)
		}
		n.connect("s", "", 2).publish("t", "m2")
		d.wantAcks("m1=1")
		d.wantGot("m2")
		other.wantGot("m2")
	})
}

func TestBatch_WhoHasNoRoomForAllGetsTheRestInOrder(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node(func(c *Config) { c.MaxInFlight = 4 })
		durable, ephemeral, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2), n.connect("s", "", 2)
		durable.subscribe("t")
		ephemeral.subscribe("t")
		sender.burst(publishes("t", 1, 10)...)
		for _, d := range []*device{durable, ephemeral} {
			var got []string
			for range 20 {
				for _, id := range strings.Fields(d.got()) {
					id = strings.TrimSuffix(id, "!") // read from the store
					got = append(got, id)
					d.ack(id)
				}
				synctest.Wait()
			}
			if strings.Join(got, " ") != list(1, 10, "m#") {
				t.Errorf("%s got %q, want each once and in order", d.name, got)
			}
		}
	})
}

func TestBatch_NobodyGetsTheirOwn(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		one, two := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		one.subscribe("t")
		two.subscribe("t")
		one.burst(publishes("t", 1, 3)...)
		two.burst(publishes("t", 4, 6)...)
		one.wantGot("m4 m5 m6")
		two.wantGot("m1 m2 m3")
	})
}

func TestBatch_WhatMustBeAppendedFirstHoldsUpWhatIsBehindIt(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.burst(publishFrame("t", "m1"), publishFrame("t", "m2", `"retry":true`), publishFrame("t", "m3"), publishFrame("u", "m4"))
		sub.wantGot("m1 m2+1 m3")
		if got := deleted(strings.Fields(sender.acks()), "m4"); strings.Join(got, " ") != "m1=1 m2=2 m3=3" {
			t.Errorf("acks = %q", got)
		}
	})
}

func TestBatch_WhatFindsNoRoomIsRefusedAlone(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node(func(c *Config) { c.QueueBytes = 30 })
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sender.burst(publishes("t", 1, 4)...) // 10 bytes each
		sub.wantGot("m1 m2 m3")
		sender.wantAcks("m4:unavailable m1=1 m2=2 m3=3")
		sender.publish("t", "m4", `"retry":true`)
		sub.wantGot("m4+1")
	})
}

func TestBatch_AcksOfOneFrameSettleAll(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sub, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2)
		sub.subscribe("t")
		sub.subscribe("u")
		sender.burst(publishes("t", 1, 90)...)
		sub.wantGot(list(1, 90, "m#"))
		sender.burst(publishes("u", 91, 95)...)
		sub.wantGot(list(91, 95, "m#"))
		for topic, most := range map[string]int{"t": 90, "u": 95} {
			var ids []string
			for i := 1; i <= most; i++ { // what is not this topic's is none of its
				if i != 50 {
					ids = append(ids, fmt.Sprintf(`"m%d"`, i))
				}
			}
			sub.send(fmt.Sprintf(`{"type":"ack","topic":%q,"messageIds":[%s]}`, topic, strings.Join(ids, ",")))
		}
		sub.leave()
		again := n.connect("s", "c:a", 2)
		again.subscribe("t")
		again.subscribe("u")
		again.wantGot("m50!")
	})
}

func TestCopies_WhatIsLateComesBehindWhatCameBeforeIt(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		near, far := b.node(), b.node()
		ephemeral, sender := far.connect("s", "", 2), near.connect("s", "", 2)
		near.connect("s", "c:b", 2).subscribe("t")
		ephemeral.subscribe("t")
		sender.publish("t", "m0")
		ephemeral.wantGot("m0")
		var copies []*backplane.Copy
		far.plane.set(func(p *faultyPlane) {
			p.loseCopy = func(c *backplane.Copy) bool { copies = append(copies, c); return true }
			p.loseNote = func(*backplane.Note) bool { return true }
		})
		sender.publish("t", "m1")
		reader := far.connect("s", "c:b", 2) // has m1 read from the store
		reader.wantGot("m0! m1!")
		sender.publish("t", "m2")
		sender.publish("t", "m3")
		far.Copies([]*backplane.Copy{copies[1], copies[0], copies[2]})
		ephemeral.wantGot("m2 m1 m3")
	})
}
