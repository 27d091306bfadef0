package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fastport/fastport/protocol"
)

// rollout is a cluster whose nodes are replaced one after another while clients work.
type rollout struct {
	*cluster
	up []*node
}

func newRollout(t *testing.T, nodes int) *rollout {
	r := &rollout{cluster: newCluster(t)}
	for range nodes {
		r.up = append(r.up, r.start())
	}
	r.balance()
	return r
}

// balance turns the proxy to the nodes that are up.
func (r *rollout) balance() { r.proxy.turn(r.addresses()...) }

func (r *rollout) addresses() []string {
	var list []string
	for _, n := range r.up {
		list = append(list, n.ln.Addr().String())
	}
	return list
}

// replace starts a node and drains the oldest one.
func (r *rollout) replace(within time.Duration) {
	r.t.Helper()
	old := r.up[0]
	r.up = append(r.up[1:], r.start())
	r.balance()
	r.drain(old, within)
}

// restart drains the oldest node, and starts one where it was.
func (r *rollout) restart(within time.Duration) {
	r.t.Helper()
	old := r.up[0]
	r.drain(old, within)
	r.up = append(r.up[1:], r.startAt(old.ln.Addr().String()))
	r.balance()
}

func (r *rollout) drain(n *node, within time.Duration) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := n.server.Drain(ctx, true); err != nil {
		r.t.Error(err)
	}
	if ctx.Err() != nil {
		r.t.Error("the drain took all of its time")
	}
	n.end()
}

// ledger holds what one subscriber got against what was published: of each publisher everything, in order, once.
type ledger struct {
	name string

	mu   sync.Mutex // guards the following
	last map[string]int
	bad  []string
}

func newLedger(name string) *ledger { return &ledger{name: name, last: make(map[string]int)} }

// take is the subscriber's handler. A payload is a publisher's name and a number, counting from 1.
func (l *ledger) take(_ context.Context, m Message) error {
	from, text, _ := strings.Cut(string(m.Payload), "=")
	n, _ := strconv.Atoi(text)
	key := m.Topic + " from " + from
	l.mu.Lock()
	defer l.mu.Unlock()
	if from == l.name {
		l.bad = append(l.bad, "its own "+text)
	} else if n != l.last[key]+1 {
		l.bad = append(l.bad, fmt.Sprintf("%s: %d after %d (seq %d, retry %d, replay %v)", key, n, l.last[key], m.Seq, m.Retry, m.Replay))
	}
	l.last[key] = n
	return nil
}

// has reports whether all up to counts has come.
func (l *ledger) has(counts map[string]int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, n := range counts {
		if !strings.HasSuffix(key, " from "+l.name) && l.last[key] < n {
			return false
		}
	}
	return true
}

func TestDrain_OfEveryNodeInTurnLosesDelaysAndRepeatsNothing(t *testing.T) {
	for name, list := range map[string]bool{"behind a balancer": false, "with a list of nodes": true} {
		t.Run(name, func(t *testing.T) { drainEveryNode(t, list) })
	}
}

func drainEveryNode(t *testing.T, list bool) {
	const topics, rounds = 3, 3
	r := newRollout(t, 2)
	next := r.replace
	if list {
		next = r.restart
	}
	r.session(nil)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var moves atomic.Int64
	device := func(name string, change func(*Options)) *Client {
		return r.connect(func(o *Options) {
			if list {
				o.URL = ""
				for _, addr := range r.addresses() {
					o.URLs = append(o.URLs, "ws://"+addr)
				}
			}
			o.OnState = func(up bool) {
				if !up && ctx.Err() == nil {
					t.Errorf("%s lost its connection", name)
				}
			}
			o.OnMove = func() { moves.Add(1) }
			change(o)
		})
	}
	type member struct {
		name         string
		reads        bool
		writes       bool
		userID, clID string
	}
	members := []member{
		{name: "durable", reads: true, clID: "phone"}, {name: "user", reads: true, userID: "ann"}, {name: "other user", reads: true, userID: "ann"},
		{name: "ephemeral", reads: true}, {name: "writer", writes: true}, {name: "durable writer", writes: true, clID: "sensor"},
		{name: "durable both", reads: true, writes: true, clID: "tablet"}, {name: "user both", reads: true, writes: true, userID: "bob"},
		{name: "ephemeral both", reads: true, writes: true},
	}
	var ledgers []*ledger
	clients := make(map[string]*Client)
	for _, m := range members {
		c := device(m.name, func(o *Options) { o.ClientID, o.UserID = m.clID, m.userID })
		clients[m.name] = c
		if !m.reads {
			continue
		}
		l := newLedger(m.name)
		for i := range topics {
			if err := c.Subscribe(ctx, fmt.Sprint("t", i), l.take); err != nil {
				t.Fatal(err)
			}
		}
		ledgers = append(ledgers, l)
	}

	stop := make(chan struct{})
	var publishers sync.WaitGroup
	var mu sync.Mutex // guards the following
	counts := make(map[string]int)
	slowest := time.Duration(0)
	publish := func(c *Client, name string) {
		defer publishers.Done()
		var last *Receipt
		for n := 1; ; n++ {
			for i := range topics {
				topic, began := fmt.Sprint("t", i), time.Now()
				receipt, err := c.PublishAsync(ctx, topic, fmt.Appendf(nil, "%s=%d", name, n))
				if err != nil {
					t.Errorf("%s: publish %d: %v", name, n, err)
					return
				}
				if last != nil && n%4 == 0 {
					<-last.Done()
					mu.Lock()
					slowest = max(slowest, time.Since(began))
					mu.Unlock()
				}
				if last != nil && last.Err() != nil {
					t.Errorf("%s: publish %d: %v", name, n, last.Err())
				}
				last = receipt
				mu.Lock()
				counts[topic+" from "+name] = n
				mu.Unlock()
			}
			select {
			case <-stop:
				<-last.Done()
				if last.Err() != nil {
					t.Errorf("%s: the last publish: %v", name, last.Err())
				}
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	for _, m := range members {
		if m.writes {
			publishers.Add(1)
			go publish(clients[m.name], m.name)
		}
	}

	for range rounds {
		next(20 * time.Second)
	}
	close(stop)
	publishers.Wait()
	for _, l := range ledgers {
		until(t, func() bool { return l.has(counts) || t.Failed() })
		l.mu.Lock()
		for _, bad := range l.bad[:min(5, len(l.bad))] {
			t.Errorf("%s got %s", l.name, bad)
		}
		l.mu.Unlock()
	}
	if n := moves.Load(); n < rounds {
		t.Errorf("%d moves", n)
	}
	t.Logf("%d of each publisher and topic, %d moves, the slowest ack took %v", counts["t0 from writer"], moves.Load(), slowest)
}

func TestDrain_AClientThatIsOftenMovedIsStillOne(t *testing.T) {
	r := newRollout(t, 1)
	r.session(nil)
	got := make(chan Message, 100)
	c := r.connect(func(o *Options) { o.ClientID = "me" })
	ctx := testContext(t)
	if err := c.Subscribe(ctx, "a", collect(got)); err != nil {
		t.Fatal(err)
	}
	writer := r.connect(nil)
	for i := range 3 {
		r.replace(8 * time.Second)
		if err := writer.Publish(ctx, "a", []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if m := receive(t, got); m.Payload[0] != byte(i) {
			t.Fatalf("message %d came as %d", m.Payload[0], i)
		}
	}
	if errors.Is(c.Err(), ErrTakenOver) {
		t.Error("it took itself for another")
	}
}

func TestDrain_FilesGoOnWithWhoMoves(t *testing.T) {
	for name, identity := range map[string]func(*Options, string){
		"durable":   func(o *Options, who string) { o.ClientID = who },
		"ephemeral": func(*Options, string) {},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRollout(t, 1)
			r.session(nil)
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			reader := r.connect(func(o *Options) { identity(o, "reader") })
			writer := r.connect(func(o *Options) { identity(o, "writer") })
			dir := t.TempDir()
			end, o := received()
			if err := reader.ReceiveToDir(ctx, "files", dir, DirOptions{ReceiveOptions: o}); err != nil {
				t.Fatal(err)
			}
			size := 300 * protocol.ChunkSize
			source := &cutAfter{bytes.NewReader(content(size)), size / 2, func() { r.replace(20 * time.Second) }}
			if err := writer.SendFile(ctx, "files", "big", int64(size), source, FileOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := receive(t, end); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join(dir, "big")); err != nil || !bytes.Equal(got, content(size)) {
				t.Errorf("%d bytes arrived, %v", len(got), err)
			}
		})
	}
}
