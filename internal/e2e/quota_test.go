package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestQuotas_AreTypedErrorsAndTheSessionGoesOn: what a session may hold is the operator's to bound, and whoever comes
// to a bound is told by code, keeps the connection, and has room again once something is gone.
func TestQuotas_AreTypedErrorsAndTheSessionGoesOn(t *testing.T) {
	for _, store := range []string{"sqlite", "memory"} {
		t.Run(store, func(t *testing.T) {
			s := serve(t, "DB_TYPE="+store, "MAX_TOPICS=2", "MAX_DURABLE_SUBSCRIBERS=3", "MAX_STORED_BYTES=1000", "MAX_OPEN_FILES=1")
			s.createSession("small", "")
			refused := func(d *device, f frame) {
				t.Helper()
				d.send(f)
				got := d.next()
				if got["code"] != "quota_exceeded" || got["success"] == true || got["error"] == "" {
					t.Errorf("%v: %v, want quota_exceeded", f, got)
				}
				d.quiet("the refused")
			}
			phone, _ := s.dial(t, "small", frame{"clientId": "phone"})
			phone.subscribe("a")
			phone.subscribe("b")
			phone.subscribe("b") // again is no third
			refused(phone, frame{"type": "subscribe", "topic": "c"})
			phone.send(frame{"type": "unsubscribe", "topic": "b"})
			phone.until("unsubscribe_response")
			phone.subscribe("c")

			tablet, _ := s.dial(t, "small", frame{"clientId": "tablet"})
			tablet.subscribe("a")
			refused(tablet, frame{"type": "subscribe", "topic": "c"}) // a fourth durable subscription of the session
			ephemeral, _ := s.dial(t, "small", nil)
			ephemeral.subscribe("c") // is no durable one

			for _, d := range []*device{phone, tablet} {
				d.conn.Close()
			}
			ephemeral.publish("a", "fits", strings.Repeat("x", 900))
			refused(ephemeral, frame{"type": "publish", "topic": "a", "messageId": "full", "data": strings.Repeat("x", 900)})
			s.createSession("other"+store, "")
			other, _ := s.dial(t, "other"+store, frame{"clientId": "phone"})
			other.subscribe("a")
			for _, client := range []string{"phone", "tablet"} { // settles what is stored
				d, _ := s.dial(t, "small", frame{"clientId": client})
				f := d.until("message")
				d.send(frame{"type": "ack", "topic": f["topic"], "messageIds": []any{f["messageId"]}})
				d.quiet(client)
				d.conn.Close()
			}
			wait(t, 20*time.Second, "room for another message", func() bool {
				ephemeral.send(frame{"type": "publish", "topic": "a", "messageId": "later", "data": strings.Repeat("x", 900)})
				return ephemeral.next()["type"] == "ack_received"
			})

			receiver, _ := s.dial(t, "small", nil)
			receiver.subscribe("files")
			file := func(n int) frame {
				return frame{"type": "init_file", "topic": "files", "fileId": fmt.Sprintf("00000000-0000-4000-8000-%012d", n), "fileSize": 10, "totalChunks": 1, "fileName": "f"}
			}
			sender, _ := s.dial(t, "small", nil)
			sender.send(file(1))
			sender.until("file_progress")
			refused(sender, file(2))
		})
	}
}
