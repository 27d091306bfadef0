package session

import (
	"testing"

	"github.com/fastport/fastport/protocol"
)

// The connection's goroutine does it all: the answers are there when Text returns, and the next frame need not wait.
func TestLogin_OfNobodyWithAPasswordThatIsRememberedWaitsForNothing(t *testing.T) {
	onBed(t, func(b *bed) {
		b.session("s")
		n := b.node()
		frames := []struct {
			text   string
			answer protocol.Type
		}{
			{`{"type":"init","sessionName":"s","password":"password","protocol":2}`, protocol.TypeInitResponse},
			{`{"type":"subscribe","topic":"t"}`, protocol.TypeSubscribeResponse},
		}
		first := n.dial("first")
		if !first.peer.Text([]byte(frames[0].text)) {
			t.Fatal("a password that nobody has checked was taken at once")
		}
		n.connect("s", "", 2)
		d := n.dial("next")
		for _, f := range frames {
			if d.peer.Text([]byte(f.text)) {
				t.Fatalf("%s: the next frame waits", f.text)
			}
			if got := d.last(f.answer); !got.Success {
				t.Fatalf("%s: %+v", f.text, got)
			}
		}
		n.connect("s", "", 2).publish("t", "m")
		if got := d.last(protocol.TypeMessage); string(got.MessageID) != "m" {
			t.Fatalf("message = %+v", got)
		}
	})
}
