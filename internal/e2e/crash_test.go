package e2e

import (
	"fmt"
	"syscall"
	"testing"
)

// TestKill9_AckedMessagesReachAnOfflineSubscriber: 1,000 acked messages for a durable subscriber that is away, kill -9,
// restart: all come back in order, with no new subscribe.
func TestKill9_AckedMessagesReachAnOfflineSubscriber(t *testing.T) {
	for _, store := range []string{"sqlite", "postgres"} {
		t.Run(store, func(t *testing.T) { testKill9(t, storeEnv(t, store)) })
	}
}

func testKill9(t *testing.T, env []string) {
	const n = 1000
	s := serve(t, env...)
	s.createSession("crash", "")

	phone, _ := s.dial(t, "crash", frame{"clientId": "phone"})
	phone.send(frame{"type": "subscribe", "topic": "news"})
	if f := phone.until("subscribe_response"); f["success"] != true {
		t.Fatal(f)
	}
	phone.conn.Close()

	pub, _ := s.dial(t, "crash", nil)
	go func() {
		for i := range n {
			pub.send(frame{"type": "publish", "topic": "news", "data": fmt.Sprint("message ", i), "messageId": fmt.Sprint("m", i)})
		}
	}()
	for range n {
		pub.until("ack_received")
	}
	s.stop(syscall.SIGKILL)
	s.start()

	phone, welcome := s.dial(t, "crash", frame{"clientId": "phone"})
	if welcome["resumed"] != true {
		t.Errorf("init_response = %v, want resumed", welcome)
	}
	last := 0.0
	for i := range n {
		f := phone.until("message")
		if want := fmt.Sprint("message ", i); f["data"] != want || f["replay"] != true {
			t.Fatalf("message %d is %v, want %q, replayed", i, f, want)
		}
		if seq := f["seq"].(float64); seq != last+1 {
			t.Fatalf("seq = %v after %v", seq, last)
		} else {
			last = seq
		}
		phone.send(frame{"type": "ack", "topic": "news", "messageIds": []string{f["messageId"].(string)}})
	}
}
