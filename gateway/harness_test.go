package gateway

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

func TestMain(m *testing.M) {
	code := m.Run()
	deadline := time.Now().Add(5 * time.Second)
	for leaked := leaks(); code == 0 && len(leaked) > 0; leaked = leaks() {
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "goroutines leaked:\n%s\n", strings.Join(leaked, "\n\n"))
			code = 1
		}
		runtime.Gosched()
	}
	os.Exit(code)
}

// leaks is the stacks of the goroutines that the package or net/http left behind.
func leaks() (stacks []string) {
	buf := make([]byte, 1<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	for _, stack := range all[1:] { // the first is our own
		if strings.Contains(stack, "fastport/gateway") || strings.Contains(stack, "net/http") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// patience bounds every wait of a test.
const patience = 10 * time.Second

var noDeadline time.Time

// engineFunc is a session.Engine.
type engineFunc func(s session.Socket, from netip.Addr) session.Peer

func (f engineFunc) Open(s session.Socket, from netip.Addr) session.Peer { return f(s, from) }

// peer is a session.Peer made of functions, and checks the contract: one call at a time, nothing after Closed.
type peer struct {
	t      testing.TB
	sock   session.Socket
	from   netip.Addr
	text   func(p *peer, frame []byte) bool
	binary func(p *peer, frame []byte) bool
	rest   func(p *peer)
	alive  chan time.Time
	ready  atomic.Bool
	closed chan struct{}
	move   func(p *peer, after time.Duration) bool // nil: the peer is no session.Leaver
	leave  func(p *peer)
	inside atomic.Int32
	ended  atomic.Bool
}

func (p *peer) enter() func() {
	if p.inside.Add(1) != 1 {
		p.t.Error("the peer was called twice at a time")
	}
	if p.ended.Load() {
		p.t.Error("the peer was called after Closed")
	}
	return func() { p.inside.Add(-1) }
}

func (p *peer) Text(frame []byte) bool {
	defer p.enter()()
	if p.text != nil {
		return p.text(p, frame)
	}
	return false
}

func (p *peer) Binary(frame []byte) bool {
	defer p.enter()()
	if p.binary != nil {
		return p.binary(p, frame)
	}
	return false
}

func (p *peer) Rest() {
	defer p.enter()()
	if p.rest != nil {
		p.rest(p)
	}
}

func (p *peer) Alive(pinged time.Time) {
	select {
	case p.alive <- pinged:
	default:
	}
}

func (p *peer) Ready() bool { return p.ready.Load() }

func (p *peer) Closed() {
	defer p.enter()()
	p.ended.Store(true)
	close(p.closed)
}

// leaver is a peer that is a session.Leaver.
type leaver struct{ *peer }

func (l leaver) Move(after time.Duration) bool { return l.move(l.peer, after) }
func (l leaver) Leave()                        { l.leave(l.peer) }

// packet is one frame for clients.
func packet(binary bool, payload string) *session.Packet {
	return session.NewPacket(binary, len(payload), func(dst []byte) []byte { return append(dst, payload...) })
}

// echo sends every frame back.
func echo(p *peer, frame []byte) bool {
	p.sock.Send(session.LaneMessage, packet(false, string(frame)))
	return false
}

func echoBinary(p *peer, frame []byte) bool {
	p.sock.Send(session.LaneMessage, packet(true, string(frame)))
	return false
}

// rig is a server on a port, and the peers it opened.
type rig struct {
	t     testing.TB
	srv   *Server
	addr  string
	peers chan *peer

	mu  sync.Mutex
	all []*peer
}

// start serves cfg; setup readies each peer before its first frame.
func start(t testing.TB, cfg Config, setup func(*peer)) *rig {
	t.Helper()
	if cfg.PingInterval == 0 {
		cfg.PingInterval = time.Hour // no frame that the test did not ask for
	}
	r := &rig{t: t, peers: make(chan *peer, 20_000)}
	engine := engineFunc(func(s session.Socket, from netip.Addr) session.Peer {
		p := &peer{t: t, sock: s, from: from, closed: make(chan struct{}), alive: make(chan time.Time, 16)}
		p.ready.Store(true)
		if setup != nil {
			setup(p)
		}
		r.mu.Lock()
		r.all = append(r.all, p)
		r.mu.Unlock()
		r.peers <- p
		if p.move != nil {
			return leaver{p}
		}
		return p
	})
	fallback := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		fmt.Fprintf(w, "%s %s %s", q.Method, q.URL.Path, body)
	})
	r.srv = New(cfg, engine, fallback)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- r.srv.Serve(ln) }()
	t.Cleanup(func() {
		if err := r.srv.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, p := range r.all {
			select {
			case <-p.closed:
			default:
				t.Error("a peer was never told Closed")
			}
		}
		if st := r.srv.Stats(); st.Connections != 0 || st.Pending != 0 || st.OutboxBytes != 0 {
			t.Errorf("after close: %+v", st)
		}
	})
	return r
}

// eachMode runs a test with epoll and with goroutines.
func eachMode(t *testing.T, test func(t *testing.T, cfg Config)) {
	for _, goroutines := range []bool{false, true} {
		name := "epoll"
		if goroutines {
			name = "goroutines"
		} else if runtime.GOOS != "linux" {
			continue
		}
		t.Run(name, func(t *testing.T) { test(t, Config{Goroutines: goroutines}) })
	}
}

// client is a WebSocket client that sends what it is told, right or wrong.
type client struct {
	t    testing.TB
	conn net.Conn
	br   *bufio.Reader
}

func (r *rig) dial() *client {
	r.t.Helper()
	c, err := r.tryDial("/", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) tryDial(path string, header http.Header) (*client, error) {
	d := ws.Dialer{Timeout: patience, Header: ws.HandshakeHeaderHTTP(header)}
	conn, br, _, err := d.Dial(context.Background(), "ws://"+r.addr+path)
	if err != nil {
		return nil, err
	}
	if br == nil {
		br = bufio.NewReader(conn)
	}
	conn.SetDeadline(time.Now().Add(patience))
	r.t.Cleanup(func() { conn.Close() })
	return &client{t: r.t, conn: conn, br: br}, nil
}

func (r *rig) peer() *peer {
	r.t.Helper()
	select {
	case p := <-r.peers:
		return p
	case <-time.After(patience):
		r.t.Fatal("the engine opened no peer")
		return nil
	}
}

// frame is a client's frame with a fixed mask.
func frame(first byte, payload string) []byte {
	mask := [4]byte{0xa5, 0x3c, 0x0f, 0x99}
	b := []byte{first}
	switch n := len(payload); {
	case n <= 125:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

func (c *client) write(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatalf("write: %v", err)
	}
}

func (c *client) send(text string) { c.t.Helper(); c.write(frame(0x81, text)) }

// read returns the next frame.
func (c *client) read() (ws.Header, string, error) {
	h, err := ws.ReadHeader(c.br)
	if err != nil {
		return h, "", err
	}
	payload := make([]byte, h.Length)
	_, err = io.ReadFull(c.br, payload)
	return h, string(payload), err
}

// expect reads one text frame.
func (c *client) expect(want string) {
	c.t.Helper()
	h, got, err := c.read()
	if err != nil {
		c.t.Fatalf("read: %v, want %.40q", err, want)
	}
	if h.OpCode != ws.OpText || got != want {
		c.t.Fatalf("read = %v %.80q, want %.80q", h.OpCode, got, want)
	}
}

// expectClose reads up to the close frame, and then the end of the stream: no reset.
func (c *client) expectClose(want protocol.CloseCode) {
	c.t.Helper()
	for {
		h, got, err := c.read()
		if err != nil {
			c.t.Fatalf("read: %v, want close %d", err, want)
		}
		if h.OpCode != ws.OpClose {
			continue
		}
		code, _ := ws.ParseCloseFrameData([]byte(got))
		if protocol.CloseCode(code) != want {
			c.t.Fatalf("close = %d %q, want %d", code, got[min(2, len(got)):], want)
		}
		break
	}
	if _, err := c.br.ReadByte(); !errors.Is(err, io.EOF) {
		c.t.Fatalf("after close: %v, want end of stream", err)
	}
	c.conn.Close()
}

func (p *peer) waitClosed() {
	p.t.Helper()
	select {
	case <-p.closed:
	case <-time.After(patience):
		p.t.Fatal("the peer was not told Closed")
	}
}

// eventually polls until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
		time.Sleep(time.Millisecond)
	}
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }

// rawDial connects and says nothing.
func (r *rig) rawDial() *client {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &client{t: r.t, conn: conn, br: bufio.NewReader(conn)}
}

// head reads a response's head: its status line as "", its fields by their names in lower case.
func (c *client) head() map[string]string {
	c.t.Helper()
	head := map[string]string{}
	for {
		line, err := c.br.ReadString('\n')
		if err != nil {
			c.t.Fatalf("head: %v after %v", err, head)
		}
		line = strings.TrimSpace(line)
		if line == "" {
			return head
		}
		if name, value, ok := strings.Cut(line, ": "); ok && len(head) > 0 {
			head[strings.ToLower(name)] = value
		} else {
			head[""] = line
		}
	}
}

// opened waits for n peers, and returns them in the order of their opening.
func (r *rig) opened(n int) []*peer {
	r.t.Helper()
	var all []*peer
	eventually(r.t, "all peers are opened", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		all = append([]*peer(nil), r.all...)
		return len(all) >= n
	})
	return all
}
