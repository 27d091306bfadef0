package client

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

const (
	testSession = "home"
	testKey     = "t/iDLkzYhfNEjD1vEwV3yIGHc+k3Hw8dMrCOnrQTgrw="
	patience    = 10 * time.Second
)

// TestMain fails the package where a goroutine is left.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := leaked(); left != "" {
			fmt.Fprintln(os.Stderr, "goroutines are left:\n"+left)
			code = 1
		}
	}
	os.Exit(code)
}

func leaked() string {
	buf := make([]byte, 1<<20)
	for deadline := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
		var left []string
		for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "fastport/client") && !strings.Contains(g, "client.leaked") {
				left = append(left, g)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return strings.Join(left, "\n\n")
		}
	}
}

// peer is a server that does what its test says, frame by frame, over real sockets.
type peer struct {
	t  *testing.T
	ln net.Listener
	// keyCheck and limits go into each init_response.
	keyCheck string
	limits   protocol.SessionLimits

	conns chan *peerConn
	wg    sync.WaitGroup
}

// peerConn is one connection of a client.
type peerConn struct {
	p      *peer
	nc     net.Conn
	frames chan peerFrame
	mu     sync.Mutex // guards writes
}

// peerFrame is what a client sent.
type peerFrame struct {
	protocol.ClientFrame
	raw   string
	chunk *protocol.Chunk
	close protocol.CloseCode // it was a close frame
}

func newPeer(t *testing.T) *peer {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, ln: ln, conns: make(chan *peerConn, 16), limits: protocol.SessionLimits{
		MaxPayload: protocol.MaxPayload, MaxInFlight: protocol.MaxInFlight, ChunkSize: protocol.ChunkSize,
	}}
	p.wg.Go(func() { p.serve(ln) })
	t.Cleanup(func() {
		ln.Close()
		p.wg.Wait()
	})
	return p
}

func (p *peer) url() string { return "ws://" + p.ln.Addr().String() }

func (p *peer) serve(ln net.Listener) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() {
			defer nc.Close()
			if _, err := ws.Upgrade(nc); err != nil {
				return
			}
			k := &peerConn{p: p, nc: nc, frames: make(chan peerFrame, 1<<16)}
			p.conns <- k
			k.read()
		})
	}
}

func (k *peerConn) read() {
	defer close(k.frames)
	for {
		raw, op, err := wsutil.ReadClientData(k.nc)
		if err != nil {
			if closed, ok := err.(wsutil.ClosedError); ok {
				k.frames <- peerFrame{close: protocol.CloseCode(closed.Code)}
			}
			return
		}
		f := peerFrame{raw: string(raw)}
		if op == ws.OpBinary {
			c, err := protocol.ParseChunk(raw)
			if err != nil {
				k.p.t.Errorf("chunk: %v", err)
			}
			f.chunk = &c
		} else if err := f.Parse([]byte(f.raw)); err != nil {
			k.p.t.Errorf("frame %s: %v", raw, err)
		} else if err := f.Validate(); err != nil {
			k.p.t.Errorf("frame %s: %v", raw, err)
		}
		k.frames <- f
	}
}

// accept waits for the next connection and takes its init, without an answer.
func (p *peer) accept() *peerConn {
	p.t.Helper()
	select {
	case k := <-p.conns:
		k.expect(protocol.TypeInit)
		return k
	case <-time.After(patience):
		p.t.Fatal("no connection came")
		return nil
	}
}

// welcome accepts a connection and logs it in.
func (p *peer) welcome(held ...string) *peerConn {
	p.t.Helper()
	k := p.accept()
	k.logIn(held...)
	return k
}

func (k *peerConn) logIn(held ...string) {
	k.send(protocol.ServerFrame{
		Type: protocol.TypeInitResponse, Success: true, SessionName: []byte(testSession), Protocol: protocol.Version2,
		ClientID: []byte("me"), Resumed: held != nil, Topics: held, ServerTime: time.Now().UnixMilli(), KeyCheck: k.p.keyCheck,
		Limits: k.p.limits,
	})
}

// next is the next frame that is not a ping.
func (k *peerConn) next() peerFrame {
	k.p.t.Helper()
	for {
		select {
		case f, ok := <-k.frames:
			if !ok {
				k.p.t.Fatal("the client has disconnected")
			}
			if f.Type != protocol.TypePing {
				return f
			}
		case <-time.After(patience):
			k.p.t.Fatal("no frame came")
		}
	}
}

// expect is the next frame, of that type.
func (k *peerConn) expect(want protocol.Type) peerFrame {
	k.p.t.Helper()
	f := k.next()
	if f.Type != want {
		k.p.t.Fatalf("got frame %.200q, want a %v", f.raw, want)
	}
	return f
}

// gone waits until the client has disconnected.
func (k *peerConn) gone() {
	k.p.t.Helper()
	for {
		select {
		case _, ok := <-k.frames:
			if !ok {
				return
			}
		case <-time.After(patience):
			k.p.t.Fatal("the client did not disconnect")
		}
	}
}

func (k *peerConn) send(f protocol.ServerFrame) {
	k.write(ws.OpText, f.Append(nil))
}

func (k *peerConn) write(op ws.OpCode, payload []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	// A client that has gone is seen by what it does not send.
	_ = wsutil.WriteServerMessage(k.nc, op, payload)
}

func (k *peerConn) close(code protocol.CloseCode) {
	k.write(ws.OpClose, ws.NewCloseFrameBody(ws.StatusCode(code), "test"))
}

// subscribe answers the next frame, a subscribe to topic.
func (k *peerConn) subscribe(topic string) {
	k.p.t.Helper()
	if f := k.expect(protocol.TypeSubscribe); string(f.Topic) != topic {
		k.p.t.Fatalf("subscribe to %s, want %s", f.Topic, topic)
	}
	k.send(protocol.ServerFrame{Type: protocol.TypeSubscribeResponse, Success: true, Topic: []byte(topic)})
}

func (k *peerConn) ack(f peerFrame) {
	k.send(protocol.ServerFrame{Type: protocol.TypeAckReceived, Topic: f.Topic, MessageID: f.MessageID, Seq: 1})
}

// taken returns once the client's reader has taken all that was sent before: it then knows another time.
func (k *peerConn) taken(c *Client) {
	k.p.t.Helper()
	later := c.Now().Add(time.Hour).Truncate(time.Millisecond)
	k.send(protocol.ServerFrame{Type: protocol.TypePong, ServerTime: later.UnixMilli()})
	until(k.p.t, func() bool { return !c.Now().Before(later) })
}

// until waits for what a client does by itself.
func until(t *testing.T, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("it did not come to pass")
		}
	}
}

// acks collects acks until n ids have come.
func (k *peerConn) acks(n int) (ids []string) {
	k.p.t.Helper()
	for len(ids) < n {
		f := k.expect(protocol.TypeAck)
		if f.MessageID != nil {
			ids = append(ids, string(f.MessageID))
		}
		for _, id := range f.MessageIDs {
			ids = append(ids, string(id))
		}
	}
	return ids
}

// sealed is a message frame from another member of the session.
func sealed(t *testing.T, key e2ee.Key, topic, id, text string) protocol.ServerFrame {
	t.Helper()
	ring, err := e2ee.NewKeyRing(testSession, key)
	if err != nil {
		t.Fatal(err)
	}
	ts := time.Now().UnixMilli()
	data, err := ring.NewSealer().Seal(e2ee.Header{Topic: topic, MessageID: id, Timestamp: ts}, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return protocol.ServerFrame{
		Type: protocol.TypeMessage, Topic: []byte(topic), MessageID: []byte(id), Data: data, Timestamp: ts, QoS: 1,
	}
}

func rootKey(t *testing.T) e2ee.Key {
	k, err := e2ee.ParseKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// opened is the text of a publish frame.
func opened(t *testing.T, f peerFrame) string {
	t.Helper()
	ring, err := e2ee.ParseKeyRing(testSession, testKey)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := ring.Open(e2ee.Header{Topic: string(f.Topic), MessageID: string(f.MessageID), Timestamp: f.Timestamp}, f.Data)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// connect connects a client to p with quick timings, and closes it with the test.
func connect(t *testing.T, p *peer, change func(*Options), held ...string) (*Client, *peerConn) {
	t.Helper()
	o := Options{
		URL: p.url(), SessionName: testSession, Password: "secret", AESKey: testKey,
		BackoffMin: time.Millisecond, BackoffMax: 20 * time.Millisecond,
		OnError: func(err error) { t.Logf("OnError: %v", err) },
	}
	if change != nil {
		change(&o)
	}
	accepted := make(chan *peerConn, 1)
	p.wg.Go(func() {
		select {
		case k := <-p.conns:
			<-k.frames
			k.logIn(held...)
			accepted <- k
		case <-time.After(patience):
		}
	})
	c, err := Connect(testContext(t), o)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, c)
	return c, <-accepted
}

// closeAfter closes c with the test, without waiting for what a test left open.
func closeAfter(t *testing.T, c *Client) {
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		c.Close(ctx)
		c.wg.Wait()
	})
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// collect is a handler that hands what it gets to a channel.
func collect(got chan Message) Handler {
	return func(_ context.Context, m Message) error {
		got <- m
		return nil
	}
}

func receive[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}
