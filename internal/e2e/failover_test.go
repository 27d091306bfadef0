package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fastport/fastport/internal/testenv"
)

// TestPostgresFailover_NothingStaysStuck fails the database over under a broker whose clients stay connected. With a
// standby that commits wait for, what was acked is there. Without, its tail may be gone; what is published after it
// still reaches everybody, in order, and acks of what is gone settle nothing that came after.
func TestPostgresFailover_NothingStaysStuck(t *testing.T) {
	for _, awaited := range []bool{true, false} {
		t.Run(fmt.Sprint("awaited=", awaited), func(t *testing.T) {
			t.Parallel() // it mostly waits
			testFailover(t, awaited)
		})
	}
}

func testFailover(t *testing.T, awaited bool) {
	primary := testenv.StartPostgres(t)
	standby := primary.Standby()
	if awaited {
		primary.Synchronous(standby)
	}
	s := serve(t, "DB_TYPE=postgres", "DATABASE_URL="+testenv.Hosts(primary.Database(), primary, standby))
	s.createSession("failover", "")
	phone, _ := s.dial(t, "failover", frame{"clientId": "phone"})
	phone.send(frame{"type": "subscribe", "topic": "news"})
	phone.until("subscribe_response")
	desk, _ := s.dial(t, "failover", frame{"clientId": "desk"}) // away until the end
	desk.send(frame{"type": "subscribe", "topic": "news"})
	desk.until("subscribe_response")
	desk.conn.Close()
	pub, _ := s.dial(t, "failover", nil)

	publishAll(pub, "early", 20)
	phone.take("early", 20)
	if !awaited {
		standby.CatchUp(primary)
		standby.Detach()
	}
	publishAll(pub, "tail", 5)
	phone.take("tail", 5) // acks that are on their way when the primary dies
	primary.Kill()
	standby.Promote()
	publishAll(pub, "late", 20)
	phone.take("late", 20)

	want := []string{"early", "late"}
	if awaited {
		want = []string{"early", "tail", "late"}
	}
	desk, _ = s.dial(t, "failover", frame{"clientId": "desk"})
	for _, name := range want {
		desk.take(name, map[string]int{"early": 20, "tail": 5, "late": 20}[name])
	}
	publishAll(pub, "end", 1)
	desk.take("end", 1)
	phone.take("end", 1)
	// Nothing is left that came again and again.
	time.Sleep(2 * time.Second) // acks are flushed every second
	phone.conn.Close()
	phone, _ = s.dial(t, "failover", frame{"clientId": "phone"})
	publishAll(pub, "last", 1)
	if f := phone.until("message"); f["messageId"] != "last-0" {
		t.Fatalf("owed to the phone: %v, want the last message alone", f)
	}
}

// publishAll publishes n messages, again what the broker could not store for now, until each is acked.
func publishAll(d *device, name string, n int) {
	d.t.Helper()
	publish := func(id any) { d.send(frame{"type": "publish", "topic": "news", "data": "x", "messageId": id}) }
	for i := range n {
		publish(fmt.Sprint(name, "-", i))
	}
	for acked := map[any]bool{}; len(acked) < n; {
		switch f := d.next(); {
		case f["type"] == "ack_received":
			acked[f["messageId"]] = true
		case f["type"] == "publish_response" && f["success"] == false && f["retryable"] == true && !acked[f["messageId"]]:
			publish(f["messageId"])
		}
	}
}

// take receives and acks the messages of a name, each for the first time in order, whatever else comes again.
func (d *device) take(name string, n int) {
	d.t.Helper()
	for next := 0; next < n; {
		f := d.until("message")
		id := f["messageId"].(string)
		d.send(frame{"type": "ack", "topic": "news", "messageIds": []string{id}})
		of, number, _ := strings.Cut(id, "-")
		i, _ := strconv.Atoi(number)
		switch {
		case of == name && i == next:
			next++
		case of == name && i > next:
			d.t.Fatalf("%s came before %s-%d", id, name, next)
		}
	}
}
