package verify

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/internal/testenv"
)

// liar stands between clients and a sound node, and breaks promises as its lie says.
type liar struct {
	ln   net.Listener
	node string
	lie  lie
	wg   sync.WaitGroup

	mu    sync.Mutex // guards the following, and is held while the lie is at work
	conns map[*lied]struct{}
}

// lie looks at a frame on its way. False: it does not pass. It may send others.
type lie func(c *lied, toClient bool, f map[string]any, text string) (pass bool)

// lied is a connection that is lied to.
type lied struct {
	who    string // the clientId or userId that it logged in with
	memory map[string]any

	client, server net.Conn
	writing        sync.Mutex // held for a frame to the client
	sending        sync.Mutex // held for a frame to the server
}

func newLiar(t *testing.T, node string, l lie) *liar {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &liar{ln: ln, node: strings.TrimPrefix(node, "http://"), lie: l, conns: make(map[*lied]struct{})}
	p.wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		p.mu.Lock()
		for c := range p.conns {
			c.end()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *liar) url() string { return "http://" + p.ln.Addr().String() }

func (p *liar) serve(conn net.Conn) {
	defer conn.Close()
	from := bufio.NewReader(conn)
	request, err := http.ReadRequest(from)
	if err != nil {
		return
	}
	server, err := net.Dial("tcp", p.node)
	if err != nil {
		return
	}
	defer server.Close()
	request.Write(server)
	back := bufio.NewReader(server)
	response, err := http.ReadResponse(back, request)
	if err != nil {
		return
	}
	response.Write(conn)
	if response.StatusCode != http.StatusSwitchingProtocols {
		return
	}
	c := &lied{memory: make(map[string]any), client: conn, server: server}
	p.mu.Lock()
	p.conns[c] = struct{}{}
	p.mu.Unlock()
	p.wg.Go(func() { p.pump(c, from, false) })
	p.pump(c, back, true)
	p.mu.Lock()
	delete(p.conns, c)
	p.mu.Unlock()
}

func (p *liar) pump(c *lied, from *bufio.Reader, toClient bool) {
	defer c.end()
	for {
		f, err := testenv.ReadFrame(from)
		if err != nil {
			return
		}
		f = ws.UnmaskFrameInPlace(f)
		if f.Header.OpCode == ws.OpText && !p.passes(c, toClient, string(f.Payload)) {
			continue
		}
		if toClient {
			c.write(f)
		} else {
			c.send(f)
		}
	}
}

func (p *liar) passes(c *lied, toClient bool, text string) bool {
	var f map[string]any
	if json.Unmarshal([]byte(text), &f) != nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if f["type"] == "init" {
		for _, field := range []string{"clientId", "userId"} {
			if who, ok := f[field].(string); ok {
				c.who = who
			}
		}
	}
	return p.lie(c, toClient, f, text)
}

// tell sends the client a text frame.
func (c *lied) tell(text string) { c.write(ws.NewTextFrame([]byte(text))) }

// say sends the server one.
func (c *lied) say(f map[string]any) {
	text, _ := json.Marshal(f)
	c.send(ws.NewTextFrame(text))
}

func (c *lied) write(f ws.Frame) {
	c.writing.Lock()
	defer c.writing.Unlock()
	ws.WriteFrame(c.client, f)
}

func (c *lied) send(f ws.Frame) {
	c.sending.Lock()
	defer c.sending.Unlock()
	ws.WriteFrame(c.server, ws.MaskFrame(f))
}

func (c *lied) end() {
	c.client.Close()
	c.server.Close()
}
