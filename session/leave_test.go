package session

import (
	"testing"
	"time"

	"github.com/fastport/fastport/protocol"
)

func TestMove_TellsVersion2Alone(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		newer, older, stranger := n.connect("s", "c:a", 2), n.connect("s", "", 1), n.dial("stranger")
		for d, want := range map[*device]bool{newer: true, older: false, stranger: false} {
			if told := d.peer.(Leaver).Move(1500 * time.Millisecond); told != want {
				t.Errorf("%s: told = %v, want %v", d.name, told, want)
			}
			if has := d.has(protocol.TypeReconnect); has != want {
				t.Errorf("%s: got a reconnect: %v, want %v", d.name, has, want)
			}
			d.wantClosed(0)
		}
		if f := newer.last(protocol.TypeReconnect); f.AfterMs != 1500 || f.Reason == "" {
			t.Errorf("reconnect = %+v, want 1500 ms and a reason", f)
		}
	})
}

func TestLeave_ClosesBehindTheLastAnswer(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		keep, sender := n.connect("s", "c:a", 2), n.connect("s", "", 1)
		keep.subscribe("t")
		b.store.hold()
		sender.publish("t", "m1")
		sender.publish("t", "m2")
		sender.peer.(Leaver).Leave()
		sender.peer.(Leaver).Leave()
		sender.publish("t", "m3") // too late: its client sends it again elsewhere
		sender.wantClosed(0)
		b.store.mend()
		sender.wantAcks("m1=1 m2=2")
		sender.wantClosed(protocol.CloseDraining)
		keep.wantGot("m1 m2")
	})
}

func TestLeave_ARefusalIsAnAnswerToo(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		sender := n.connect("s", "", 2)
		sender.send(`{"type":"publish","topic":"t","messageId":"m0","data":"x","hash":"00"}`)
		b.store.hold()
		keep := n.connect("s", "u:a", 2)
		keep.subscribe("t")
		sender.publish("t", "m1")
		sender.peer.(Leaver).Leave()
		sender.wantClosed(0)
		time.Sleep(6 * time.Second) // the store does not answer: unavailable
		if f := sender.last(protocol.TypePublishResponse); f.Code != protocol.Unavailable {
			t.Errorf("publish_response = %+v", f)
		}
		sender.wantClosed(protocol.CloseDraining)
	})
}

func TestLeave_WithNothingOwedClosesAtOnce(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		idle, stranger := n.connect("s", "c:a", 2), n.dial("stranger")
		for _, d := range []*device{idle, stranger} {
			d.peer.(Leaver).Leave()
			d.wantClosed(protocol.CloseDraining)
		}
	})
}
