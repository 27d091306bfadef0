package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	bus "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"
)

// cluster is real nodes on one store, behind a proxy that a test can cut and turn.
type cluster struct {
	t      *testing.T
	store  *memory.Store
	bus    *bus.Bus
	proxy  *proxy
	serial int
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, store: memory.Open(storage.Options{}, time.Now), bus: bus.NewBus(), proxy: newProxy(t)}
	t.Cleanup(func() { c.store.Close() })
	return c
}

// start starts a node and turns the proxy to it.
func (c *cluster) start() *node {
	c.t.Helper()
	n := c.startAt("127.0.0.1:0")
	c.proxy.turn(n.ln.Addr().String())
	return n
}

func (c *cluster) startAt(addr string) *node {
	c.t.Helper()
	c.serial++
	n, err := startNodeAt(addr, fmt.Sprintf("n%d", c.serial), c.store, c.bus)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(n.end)
	return n
}

func (c *cluster) http() string { return "http://" + c.proxy.ln.Addr().String() }

// session creates the tests' session and returns its secret key.
func (c *cluster) session(change func(*SessionSpec)) string {
	c.t.Helper()
	spec := SessionSpec{SessionName: testSession, Password: "secret", Key: rootKey(c.t), RetryInterval: 200 * time.Millisecond}
	if change != nil {
		change(&spec)
	}
	secret, err := CreateSession(testContext(c.t), c.http(), spec)
	if err != nil {
		c.t.Fatal(err)
	}
	return secret
}

func (c *cluster) options(change func(*Options)) Options {
	o := Options{
		URL: "ws" + c.http()[len("http"):] + "/ws", SessionName: testSession, Password: "secret", AESKey: testKey,
		BackoffMin: time.Millisecond, BackoffMax: 50 * time.Millisecond,
		OnError: func(err error) { c.t.Logf("OnError: %v", err) },
	}
	if change != nil {
		change(&o)
	}
	return o
}

func (c *cluster) connect(change func(*Options)) *Client {
	c.t.Helper()
	client, err := Connect(testContext(c.t), c.options(change))
	if err != nil {
		c.t.Fatal(err)
	}
	closeAfter(c.t, client)
	return client
}

// proxy passes connections on to where it is turned: each to the next of its targets that accepts it.
type proxy struct {
	ln net.Listener
	wg sync.WaitGroup

	mu      sync.Mutex // guards the following
	targets []string
	conns   map[net.Conn]struct{}
}

func newProxy(t *testing.T) *proxy {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{ln: ln, conns: make(map[net.Conn]struct{})}
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		ln.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) turn(targets ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.targets = targets
}

// dial connects to the target whose turn it is, or to the first after it that accepts.
func (p *proxy) dial() (nc net.Conn, err error) {
	p.mu.Lock()
	targets := slices.Clone(p.targets)
	p.targets = append(p.targets[1:], p.targets[0])
	p.mu.Unlock()
	for _, target := range targets {
		if nc, err = net.Dial("tcp", target); err == nil {
			return nc, nil
		}
	}
	return nil, err
}

// cut ends every connection that is open.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for nc := range p.conns {
		nc.Close()
	}
}

func (p *proxy) serve() {
	for {
		in, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() {
			defer in.Close()
			out, err := p.dial()
			if err != nil {
				return
			}
			defer out.Close()
			p.mu.Lock()
			p.conns[in], p.conns[out] = struct{}{}, struct{}{}
			p.mu.Unlock()
			defer func() {
				p.mu.Lock()
				delete(p.conns, in)
				delete(p.conns, out)
				p.mu.Unlock()
			}()
			back := make(chan struct{})
			go func() {
				defer close(back)
				io.Copy(in, out)
				in.Close()
			}()
			io.Copy(out, in)
			out.Close()
			<-back
		})
	}
}

func TestNode_SessionsAreCreatedSuspendedAndDropped(t *testing.T) {
	b := newCluster(t)
	b.start()
	secret := b.session(func(s *SessionSpec) { s.Suite = 2 })
	ctx := testContext(t)
	if _, err := CreateSession(ctx, b.http(), SessionSpec{SessionName: testSession, Password: "p", Key: e2ee.NewKey()}); !IsCode(err, "conflict") {
		t.Errorf("CreateSession = %v, want conflict", err)
	}
	if _, err := Connect(ctx, b.options(func(o *Options) { o.AESKey = e2ee.NewKey().Base64() })); !IsCode(err, "key_mismatch") {
		t.Errorf("Connect with another key = %v, want key_mismatch", err)
	}
	if _, err := Connect(ctx, b.options(func(o *Options) { o.Password = "wrong" })); !IsCode(err, "unauthorized") {
		t.Errorf("Connect with a wrong password = %v, want unauthorized", err)
	}

	c := b.connect(nil)
	owner := SessionAdmin{SessionName: testSession, Password: "secret", SecretKey: secret}
	if err := SuspendSession(ctx, b.http(), SessionAdmin{SessionName: testSession, Password: "secret", SecretKey: "no"}, true); !IsCode(err, "unauthorized") {
		t.Errorf("SuspendSession by a stranger = %v, want unauthorized", err)
	}
	if err := SuspendSession(ctx, b.http(), owner, true); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if !closedWith(c.Err(), 4003) {
		t.Errorf("suspended: Err = %v, want a close with 4003", c.Err())
	}
	if _, err := Connect(ctx, b.options(nil)); !IsCode(err, "session_suspended") {
		t.Errorf("Connect = %v, want session_suspended", err)
	}
	if err := SuspendSession(ctx, b.http(), owner, false); err != nil {
		t.Fatal(err)
	}
	c = b.connect(nil)
	if err := DropSession(ctx, b.http(), owner); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if !closedWith(c.Err(), 4003) {
		t.Errorf("dropped: Err = %v, want a close with 4003", c.Err())
	}
}

func TestNode_MessagesArriveInOrderForBothSuites(t *testing.T) {
	b := newCluster(t)
	b.start()
	b.session(nil)
	got := make(chan Message, 2000)
	reader := b.connect(func(o *Options) { o.AllowLegacy = true })
	ctx := testContext(t)
	if err := reader.Subscribe(ctx, "a/b", collect(got)); err != nil {
		t.Fatal(err)
	}
	for _, suite := range []int{1, 2} {
		writer := b.connect(func(o *Options) { o.Suite = suite })
		var last *Receipt
		for i := range 1000 {
			r, err := writer.PublishAsync(ctx, "a/b", []byte{byte(i), byte(i >> 8)})
			if err != nil {
				t.Fatal(err)
			}
			last = r
		}
		<-last.Done()
		if last.Err() != nil {
			t.Fatal(last.Err())
		}
		for i := range 1000 {
			m := receive(t, got)
			if n := int(m.Payload[0]) | int(m.Payload[1])<<8; n != i || m.Legacy != (suite == 1) {
				t.Fatalf("suite %d: message %d came as %d", suite, n, i)
			}
		}
	}
	if n := len(got); n != 0 {
		t.Errorf("%d messages more than were sent", n)
	}
}

func TestNode_ADurableSubscriberGetsWhatItMissed(t *testing.T) {
	b := newCluster(t)
	n := b.start()
	b.session(nil)
	durable := func(o *Options) { o.ClientID = "phone" }
	ctx := testContext(t)
	away := b.connect(durable)
	if err := away.Subscribe(ctx, "a", collect(nil)); err != nil {
		t.Fatal(err)
	}
	if err := away.Close(ctx); err != nil {
		t.Fatal(err)
	}
	writer := b.connect(nil)
	var receipts []*Receipt
	for i := range 1000 {
		r, err := writer.PublishAsync(ctx, "a", []byte{byte(i), byte(i >> 8)})
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, r)
	}
	for _, r := range receipts {
		<-r.Done()
		if r.Err() != nil {
			t.Fatal(r.Err())
		}
	}
	n.end()
	b.start()

	got := make(chan Message, 2000)
	back := b.connect(durable)
	if err := back.Subscribe(ctx, "a", collect(got)); err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		m := receive(t, got)
		if n := int(m.Payload[0]) | int(m.Payload[1])<<8; n != i || m.Seq != uint64(i+1) {
			t.Fatalf("message %d (seq %d) came as %d", n, m.Seq, i)
		}
	}
	if err := back.Close(ctx); err != nil {
		t.Fatal(err)
	}
	again := b.connect(durable)
	if err := again.Subscribe(ctx, "a", collect(got)); err != nil {
		t.Fatal(err)
	}
	if err := writer.Publish(ctx, "a", []byte("end")); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, got); string(m.Payload) != "end" {
		t.Errorf("what was acked came again: %v", m)
	}
}

func TestNode_ANewerConnectionOfTheSameClientIDEndsTheOlder(t *testing.T) {
	b := newCluster(t)
	b.start()
	b.session(nil)
	durable := func(o *Options) { o.ClientID = "phone" }
	older := b.connect(durable)
	b.connect(durable)
	<-older.Done()
	if !errors.Is(older.Err(), ErrTakenOver) {
		t.Errorf("Err = %v, want %v", older.Err(), ErrTakenOver)
	}
}

func TestNode_NothingIsLostOrRepeatedWhenConnectionsAreCutAndNodesDrain(t *testing.T) {
	b := newCluster(t)
	n := b.start()
	b.session(nil)
	got := make(chan Message, 5000)
	reader := b.connect(func(o *Options) { o.ClientID = "reader" })
	writer := b.connect(func(o *Options) { o.AckTimeout = time.Second })
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := reader.Subscribe(ctx, "a", collect(got)); err != nil {
		t.Fatal(err)
	}
	const total = 300
	for i := range total {
		switch {
		case i == 150: // to another node, by the reconnect frame
			old := n
			n = b.start()
			drained := make(chan struct{})
			go func() {
				defer close(drained)
				ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
				defer cancel()
				old.server.Drain(ctx, true)
				old.end()
			}()
			defer func() { <-drained }()
		case i%40 == 20:
			b.proxy.cut()
		}
		if err := writer.Publish(ctx, "a", []byte{byte(i), byte(i >> 8)}); err != nil {
			t.Fatalf("publish %d: %v", i, err)
		}
	}
	seen := make(map[int]int)
	for len(seen) < total {
		m := receive(t, got)
		seen[int(m.Payload[0])|int(m.Payload[1])<<8]++
	}
	if err := writer.Publish(ctx, "a", []byte("end")); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, got); string(m.Payload) != "end" {
		t.Errorf("%v came again", m)
	}
	for i, times := range seen {
		if times != 1 {
			t.Errorf("message %d came %d times", i, times)
		}
	}
}
