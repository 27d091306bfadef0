package session

import "testing"

func TestPublish_ReachesSubscribersAndIsAcked(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		durable, ephemeral, sender := n.connect("s", "c:a", 2), n.connect("s", "", 2), n.connect("s", "", 2)
		durable.subscribe("t")
		ephemeral.subscribe("t")
		sender.subscribe("t")
		sender.publish("t", "m1")
		sender.wantAcks("m1=1")
		durable.wantGot("m1")
		ephemeral.wantGot("m1")
		sender.wantGot("")
	})
}
