package e2e

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// watch reads what Redis says of every command that it takes (MONITOR).
type watch struct {
	t      *testing.T
	client *goredis.Client
	lines  *bufio.Scanner
}

func watchRedis(t *testing.T, url string) *watch {
	t.Helper()
	o, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{t: t, client: goredis.NewClient(o)}
	t.Cleanup(func() { w.client.Close() })
	nc, err := net.Dial("tcp", o.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := fmt.Fprint(nc, "MONITOR\r\n"); err != nil {
		t.Fatal(err)
	}
	w.lines = bufio.NewScanner(nc)
	if !w.lines.Scan() || w.lines.Text() != "+OK" {
		t.Fatalf("MONITOR: %q, %v", w.lines.Text(), w.lines.Err())
	}
	return w
}

// channel is what a topic is called there, and how many connections get what is published on it.
func (w *watch) channel(topic string) (name string, receivers int64) {
	w.t.Helper()
	names, err := w.client.PubSubChannels(w.t.Context(), "*:"+topic).Result()
	if err != nil || len(names) != 1 {
		w.t.Fatalf("channels of %s: %q, %v", topic, names, err)
	}
	numbers, err := w.client.PubSubNumSub(w.t.Context(), names[0]).Result()
	if err != nil {
		w.t.Fatal(err)
	}
	return names[0], numbers[names[0]]
}

// published counts what was published on a channel since the last call, by kind.
func (w *watch) published(channel string) (copies, notes int) {
	w.t.Helper()
	if err := w.client.Publish(w.t.Context(), "end:"+channel, "").Err(); err != nil {
		w.t.Fatal(err)
	}
	for w.lines.Scan() {
		switch line := w.lines.Text(); {
		case strings.Contains(line, fmt.Sprintf(`%q`, "end:"+channel)):
			return copies, notes
		case !strings.Contains(line, `"PUBLISH" `+fmt.Sprintf("%q", channel)):
		case strings.Contains(line, ` "\x01\x01`): // its version and its kind
			copies++
		case strings.Contains(line, ` "\x01\x02`):
			notes++
		}
	}
	w.t.Fatalf("MONITOR ended: %v", w.lines.Err())
	return 0, 0
}

// What Redis does for a publish goes by the nodes that are interested, not by their subscribers.
func TestCluster_RedisCarriesOneMessageANodeWhateverItsSubscribers(t *testing.T) {
	c := cluster(t)
	one, two := on(t, c.Node(0)), on(t, c.Node(1))
	name := shared.name()
	one.createSession(name, "")
	sender, _ := one.dial(t, name, nil)
	redis := watchRedis(t, c.Redis.URL())
	for _, crowd := range []struct {
		topic    string
		at       []*server
		each     int
		messages int
	}{
		{"one-on-one", []*server{two}, 1, 20},
		{"many-on-one", []*server{two}, 30, 20},
		{"one-on-each", []*server{one, two}, 1, 20},
		{"many-on-each", []*server{one, two}, 30, 20},
	} {
		var subscribers []*device
		for i, at := range crowd.at {
			for j := range crowd.each {
				who := frame{}
				if j%2 == 0 {
					who["clientId"] = fmt.Sprintf("%s-%d-%d", crowd.topic, i, j)
				}
				d, _ := at.dial(t, name, who)
				d.subscribe(crowd.topic)
				subscribers = append(subscribers, d)
			}
		}
		channel, receivers := redis.channel(crowd.topic)
		if want := int64(len(crowd.at)); receivers != want {
			t.Errorf("%s: Redis sends each message %d times, want %d", crowd.topic, receivers, want)
		}
		redis.published(channel)
		for i := range crowd.messages {
			sender.send(frame{"type": "publish", "topic": crowd.topic, "data": "d", "messageId": fmt.Sprintf("%s-%d", crowd.topic, i)})
		}
		for range crowd.messages {
			sender.until("ack_received")
		}
		for _, d := range subscribers {
			for range crowd.messages {
				d.until("message")
			}
			d.conn.Close()
		}
		if copies, notes := redis.published(channel); copies != crowd.messages || notes != crowd.messages {
			t.Errorf("%s: %d messages to %d subscribers took %d copies and %d notes, want one of each a message",
				crowd.topic, crowd.messages, len(subscribers), copies, notes)
		}
	}
}
