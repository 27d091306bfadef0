package e2e

import (
	"fmt"
	"testing"
	"time"
)

// quiet fails if anything but the answer to a ping comes.
func (d *device) quiet(who string) {
	d.t.Helper()
	d.send(frame{"type": "ping"})
	if f := d.next(); f["type"] != "pong" {
		d.t.Errorf("%s got %v", who, f)
	}
}

func (d *device) subscribe(topic string) {
	d.t.Helper()
	d.send(frame{"type": "subscribe", "topic": topic})
	if f := d.until("subscribe_response"); f["success"] != true {
		d.t.Fatalf("subscribe %q: %v", topic, f)
	}
}

// publish sends a message and waits for its ack.
func (d *device) publish(topic, id, data string) {
	d.t.Helper()
	d.send(frame{"type": "publish", "topic": topic, "messageId": id, "data": data})
	if f := d.until("ack_received"); f["messageId"] != id || f["topic"] != topic {
		d.t.Fatalf("publish %q %q: %v", topic, id, f)
	}
}

// TestNames_NeverRunTogether: a:b with c is never a with b:c, and what looks like SQL is a name: subscribers, topics
// and ids of such names are each one's own, on the way to a subscriber that is there and through the store.
func TestNames_NeverRunTogether(t *testing.T) {
	for _, store := range []string{"sqlite", "memory"} {
		t.Run(store, func(t *testing.T) {
			s := serve(t, "DB_TYPE="+store)
			s.createSession("names", "")
			const sql = `x'); DELETE FROM sessions; --`
			who := []struct{ client, topic string }{
				{"a:b", "c"}, {"a", "b:c"}, {"a:b:c", "d"}, {"c:a", "b"}, {"a\u2028b", "c\u2028"}, {sql, "' OR ''='"}, {"' OR ''='", sql},
			}
			for _, away := range []bool{false, true} {
				devices := map[string]*device{}
				for _, w := range who {
					d, _ := s.dial(t, "names", frame{"clientId": w.client})
					d.subscribe(w.topic)
					devices[w.client] = d
				}
				if away {
					for _, d := range devices {
						d.conn.Close()
					}
				}
				pub, _ := s.dial(t, "names", nil)
				for _, w := range who {
					pub.publish(w.topic, fmt.Sprint("m", away), "for "+w.client)
				}
				for _, w := range who {
					if away {
						devices[w.client], _ = s.dial(t, "names", frame{"clientId": w.client})
					}
					d := devices[w.client]
					f := d.until("message")
					if f["data"] != "for "+w.client || f["topic"] != w.topic {
						t.Errorf("%q got %v", w.client, f)
					}
					d.send(frame{"type": "ack", "messageIds": []any{f["messageId"]}, "topic": w.topic})
					d.quiet(w.client)
				}
				pub.publish("t:a", fmt.Sprint("b", away), "one")
				pub.publish("t", fmt.Sprint("a:b", away), "another, no repeat")
			}
		})
	}
}

// TestTakeOver_IsWithinItsSessionAlone: a clientId of another session, or one without the password, ends nobody's
// connection; the same clientId in its own session does.
func TestTakeOver_IsWithinItsSessionAlone(t *testing.T) {
	s := serve(t, "DB_TYPE=memory")
	s.createSession("mine", "")
	s.createSession("other", "")
	mine, _ := s.dial(t, "mine", frame{"clientId": "phone", "userId": "ann"})
	mine.subscribe("news")

	other, welcome := s.dial(t, "other", frame{"clientId": "phone", "userId": "ann"})
	if welcome["resumed"] == true || len(welcome["topics"].([]any)) != 0 {
		t.Errorf("another session's phone was told of this one's: %v", welcome)
	}
	other.publish("news", "m", "of the other session")
	thief := s.connect(t, "127.0.0.1", nil)
	thief.send(frame{"type": "init", "sessionName": "mine", "password": "guessed", "clientId": "phone"})
	if f := thief.next(); f["code"] != "unauthorized" {
		t.Errorf("a guess: %v", f)
	}
	user, _ := s.dial(t, "mine", frame{"userId": "phone"}) // a user of that text is another subscriber
	mine.quiet("the first connection")
	user.quiet("the user")

	newer, welcome := s.dial(t, "mine", frame{"clientId": "phone"})
	if welcome["resumed"] != true {
		t.Errorf("the newer connection: %v", welcome)
	}
	if code := mine.closed(); code != 4001 {
		t.Errorf("the older was closed with %d, want 4001", code)
	}
	newer.quiet("the newer connection")
	other.quiet("the other session's")
}

// TestSuspendAndDrop_EndOpenSocketsAndRememberedLoginsWithin2s, whichever version and kind the subscriber is; other
// sessions notice nothing.
func TestSuspendAndDrop_EndOpenSocketsAndRememberedLoginsWithin2s(t *testing.T) {
	s := serve(t)
	secret := s.createSession("gone", "")["secretKey"]
	s.createSession("stays", "")
	bystander, _ := s.dial(t, "stays", frame{"clientId": "phone"})
	owner := func(more string) string {
		return fmt.Sprintf(`{"sessionName":"gone","password":"secure_pass_123","secretKey":%q%s}`, secret, more)
	}
	refused := func(want string) {
		t.Helper()
		d := s.connect(t, "127.0.0.1", nil)
		d.send(frame{"type": "init", "sessionName": "gone", "password": "secure_pass_123"})
		if f := d.next(); f["success"] != false || f["code"] != want {
			t.Errorf("a login that was remembered as right: %v, want %s", f, want)
		}
	}
	for _, step := range []struct{ path, body, then string }{
		{"/api/suspendSession", owner(`,"suspend":true`), "session_suspended"},
		{"/api/dropSession", owner(""), "unauthorized"},
	} {
		var devices []*device
		for _, init := range []frame{{}, {"protocol": 1}, {"clientId": "phone"}, {"userId": "ann"}} {
			d, _ := s.dial(t, "gone", init)
			d.subscribe("news")
			devices = append(devices, d)
		}
		began := time.Now()
		if status, body := s.post(step.path, step.body); status != 200 {
			t.Fatalf("%s: %v", step.path, body)
		}
		for i, d := range devices {
			if code := d.closed(); code != 4003 {
				t.Errorf("%s: connection %d was closed with %d, want 4003", step.path, i, code)
			}
		}
		refused(step.then)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s took %v", step.path, took)
		}
		if step.then == "session_suspended" {
			if status, body := s.post(step.path, owner(`,"suspend":false`)); status != 200 {
				t.Fatalf("resume: %v", body)
			}
		}
	}
	bystander.quiet("the other session")
}
