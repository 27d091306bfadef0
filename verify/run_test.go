package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/api"
	bus "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/gateway"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"
)

// startNodes starts real nodes on one store and one bus, and returns their URLs.
func startNodes(t *testing.T, n int) (urls []string) {
	t.Helper()
	for _, s := range serveNodes(t, n, gateway.Config{}, session.Config{}) {
		urls = append(urls, s.url)
	}
	return urls
}

type served struct {
	*gateway.Server
	url string
}

// serveNodes does so with other settings.
func serveNodes(t *testing.T, n int, sockets gateway.Config, devices session.Config) (nodes []served) {
	t.Helper()
	store, shared := memory.Open(storage.Options{}, time.Now), bus.NewBus()
	t.Cleanup(func() { store.Close() })
	sealer, err := session.NewSealer(make([]byte, session.MasterKeySize), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		id := fmt.Sprint("n", i)
		plane := shared.Node(id)
		catalog := session.NewCatalog(session.CatalogConfig{Store: store, Control: plane, Sealer: sealer})
		devices := devices
		devices.NodeID, devices.Store, devices.Backplane, devices.Catalog = id, store, plane, catalog
		engine, err := session.New(devices)
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := gateway.New(sockets, engine, api.New(api.Config{
			Catalog: catalog, Publisher: engine, Counters: plane,
			Admin: admin.New(admin.Config{Store: store, Catalog: catalog, Backplane: plane}),
		}))
		ctx, stop := context.WithCancel(context.Background())
		ran, ended := make(chan struct{}), make(chan struct{})
		go func() { defer close(ran); engine.Run(ctx) }()
		go func() { defer close(ended); server.Serve(ln) }()
		t.Cleanup(func() {
			server.Close()
			ln.Close()
			stop()
			<-ran
			<-ended
			plane.Close()
		})
		nodes = append(nodes, served{server, "http://" + ln.Addr().String()})
	}
	return nodes
}

// small is a load for a busy machine.
func small(urls ...string) Options {
	return Options{
		Load:     LoadOptions{URLs: urls, Rate: 150, Topics: 4, Subscribers: 10, Each: 2, Seed: 1},
		Duration: 2 * time.Second, Patience: 30 * time.Second,
	}
}

func runIt(t *testing.T, o Options) *Report {
	t.Helper()
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	t.Log(text.String())
	return report
}

func TestRun_ASoundClusterKeepsEveryPromise(t *testing.T) {
	o := small(startNodes(t, 3)...)
	o.Duration = 7 * time.Second
	r := runIt(t, o)
	if !r.OK {
		t.Error("promises are said to be broken")
	}
	if r.Published < 300 || r.Acked != r.Published || r.Delivered < 2*r.Published || r.Ack.Count != r.Acked {
		t.Errorf("published %d, acked %d, delivered %d, ack times %d: too few, or not the same", r.Published, r.Acked, r.Delivered, r.Ack.Count)
	}
}

// once lets a lie be told a number of times.
func times(n int) func() bool {
	return func() bool { n--; return n >= 0 }
}

func field(f map[string]any, name string) string {
	s, _ := f[name].(string)
	return s
}

// edited is a frame with a field changed.
func edited(text, name string, value any) string {
	var f map[string]any
	json.Unmarshal([]byte(text), &f)
	f[name] = value
	b, _ := json.Marshal(f)
	return string(b)
}

// The lies, one a promise. Each is told by a proxy before a sound node, and must be found and be all that is found.
func TestRun_CatchesALyingBroker(t *testing.T) {
	type plant struct {
		name    string
		want    Breach
		lie     func() lie
		options func(*Options)
	}
	message := func(toClient bool, f map[string]any) bool {
		return toClient && f["type"] == "message" && f["qos"] == nil
	}
	once := func(c *lied, toClient bool, f map[string]any) bool {
		return c.who == "socket-1-v2" && toClient && f["type"] == "message" && f["qos"] == 0.0
	}
	for _, p := range []plant{
		{name: "a message is kept from a subscriber that is said to have acked it", want: Lost, lie: func() lie {
			left := times(3)
			return func(c *lied, toClient bool, f map[string]any, _ string) bool {
				if c.who != "durable-1" || !message(toClient, f) || !left() {
					return true
				}
				c.say(map[string]any{"type": "ack", "messageId": f["messageId"], "topic": f["topic"]})
				return false
			}
		}, options: func(o *Options) { o.Patience = 3 * time.Second }},

		{name: "a publish is acked and thrown away", want: Lost, lie: func() lie {
			left := times(2)
			return func(c *lied, toClient bool, f map[string]any, _ string) bool {
				if !strings.HasPrefix(c.who, "socket-") || !strings.HasSuffix(c.who, "v2") || f["type"] != "publish" || !left() {
					return true
				}
				c.tell(fmt.Sprintf(`{"type":"ack_received","messageId":%q,"topic":%q}`, f["messageId"], f["topic"]))
				return false
			}
		}, options: func(o *Options) { o.Patience = 3 * time.Second }},

		{name: "a publish is never answered", want: Unanswered, lie: func() lie {
			victim := ""
			return func(c *lied, toClient bool, f map[string]any, _ string) bool {
				if strings.HasPrefix(c.who, "socket-") && f["type"] == "publish" && victim == "" {
					victim = field(f, "messageId")
				}
				return f["type"] != "publish" || field(f, "messageId") != victim
			}
		}, options: func(o *Options) { o.Patience = 3 * time.Second }},

		{name: "an application gets a message twice", want: Duplicate, lie: func() lie {
			left := times(1)
			return func(c *lied, toClient bool, f map[string]any, text string) bool {
				if c.who != "durable-1" || !message(toClient, f) {
					return true
				}
				n, _ := c.memory["n"].(int)
				c.memory["n"] = n + 1
				switch n {
				case 0:
					c.memory["kept"] = text
				case 20: // what makes the SDK forget is that there was much in between, and that it was told to
					if left() {
						c.tell(edited(c.memory["kept"].(string), "retry", 1))
					}
				}
				return true
			}
		}, options: func(o *Options) { o.Load.Suite, o.Load.dedupe = 1, 1 }},

		{name: "two messages change places", want: Disorder, lie: func() lie {
			left := times(3)
			return func(c *lied, toClient bool, f map[string]any, text string) bool {
				if c.who != "durable-1" || !message(toClient, f) {
					return true
				}
				if kept, ok := c.memory[field(f, "topic")].(string); ok {
					delete(c.memory, field(f, "topic"))
					c.tell(text)
					c.tell(kept)
					return false
				}
				if !left() {
					return true
				}
				c.memory[field(f, "topic")] = text
				return false
			}
		}},

		{name: "a message comes again long after it was acked", want: Stale, lie: func() lie {
			left := times(1)
			return func(c *lied, toClient bool, f map[string]any, text string) bool {
				if c.who != "socket-1-v2" || !message(toClient, f) {
					return true
				}
				if c.memory["kept"] == nil {
					c.memory["kept"], c.memory["at"] = text, time.Now()
				} else if time.Since(c.memory["at"].(time.Time)) > settleTime+500*time.Millisecond && left() {
					c.tell(edited(c.memory["kept"].(string), "retry", 1))
				}
				return true
			}
		}, options: func(o *Options) { o.Duration = settleTime + 3*time.Second }},

		{name: "a repeat does not say that it is one", want: Unflagged, lie: func() lie {
			left := times(2)
			return func(c *lied, toClient bool, f map[string]any, text string) bool {
				if c.who == "socket-1-v2" && message(toClient, f) && left() {
					c.tell(text)
				}
				return true
			}
		}},

		{name: "a message of qos 0 comes twice", want: Repeated, lie: func() lie {
			left := times(2)
			return func(c *lied, toClient bool, f map[string]any, text string) bool {
				if once(c, toClient, f) && left() {
					c.tell(text)
				}
				return true
			}
		}, options: func(o *Options) { o.Duration = 5 * time.Second }},

		{name: "a message of qos 0 is replayed", want: Repeated, lie: func() lie {
			left := times(1)
			return func(c *lied, toClient bool, f map[string]any, text string) bool {
				if !once(c, toClient, f) || !left() {
					return true
				}
				c.tell(edited(text, "replay", true))
				return false
			}
		}, options: func(o *Options) { o.Duration = 5 * time.Second }},

		{name: "a message of qos 0 does not come to who is there", want: Missed, lie: func() lie {
			began := time.Time{}
			return func(c *lied, toClient bool, f map[string]any, text string) bool {
				if began.IsZero() {
					began = time.Now()
				}
				return !once(c, toClient, f) || time.Since(began) < settleTime+time.Second
			}
		}, options: func(o *Options) { o.Duration = 2*settleTime + 4*time.Second }},

		{name: "a message crosses sessions", want: Foreign, lie: func() lie {
			left, plain := times(2), ""
			return func(c *lied, toClient bool, f map[string]any, text string) bool {
				switch {
				case !message(toClient, f):
				case c.who == "socket-1-v2":
					plain = text
				case c.who == "durable-1" && plain != "" && left():
					c.tell(edited(plain, "topic", f["topic"])) // the SDK cannot open it
				}
				return true
			}
		}},

		{name: "a sealed message of another session comes to a socket", want: Foreign, lie: func() lie {
			left, sealed := times(2), ""
			return func(c *lied, toClient bool, f map[string]any, text string) bool {
				switch {
				case !message(toClient, f):
				case c.who == "durable-1":
					sealed = text
				case c.who == "socket-1-v2" && sealed != "" && left():
					c.tell(sealed)
				}
				return true
			}
		}},

		{name: "the content is changed", want: Corrupt, lie: func() lie {
			left := times(1)
			return func(c *lied, toClient bool, f map[string]any, text string) bool {
				if c.who != "socket-1-v2" || !message(toClient, f) || !left() {
					return true
				}
				c.tell(edited(text, "data", "something else"))
				return false
			}
		}},

		{name: "a publisher gets its own message", want: Echo, lie: func() lie {
			left := times(1)
			return func(c *lied, toClient bool, f map[string]any, text string) bool {
				switch {
				case !strings.HasPrefix(c.who, "socket-"):
				case f["type"] == "subscribe":
					c.memory[field(f, "topic")] = true
				case f["type"] == "publish" && c.memory[field(f, "topic")] == true && left():
					c.tell(edited(text, "type", "message"))
				}
				return true
			}
		}},
	} {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			o := small(newLiar(t, startNodes(t, 1)[0], p.lie()).url())
			if p.options != nil {
				p.options(&o)
			}
			r := runIt(t, o)
			if r.OK || r.Breaches[p.want] == 0 {
				t.Errorf("%s: none found", p.want)
			}
			for b, n := range r.Breaches {
				if b != p.want && n > 0 {
					t.Errorf("%s: %d found, want none", b, n)
				}
			}
		})
	}
}
