package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// raw opens a bare connection from an address of this machine.
func (s *server) raw(t *testing.T, from string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", "127.0.0.1:"+s.port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// upgrade asks for a WebSocket and returns the answer, and the connection that stays open until the test ends.
func (s *server) upgrade(t *testing.T, from string, headers ...string) (*http.Response, net.Conn) {
	t.Helper()
	conn := s.raw(t, from)
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+strings.Join(append(headers, ""), "\r\n")+"\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res, conn
}

// TestSockets_LimitsAreTheOperators: caps per address and in all before the upgrade, the address behind a proxy that is
// trusted and no other, browsers' origins, and no compression that nobody asked for: each setting reaches the sockets.
func TestSockets_LimitsAreTheOperators(t *testing.T) {
	s := serve(t, "DB_TYPE=memory", "TRUSTED_PROXIES=127.0.0.1/32", "MAX_CONNECTIONS_PER_IP=2", "MAX_CONNECTIONS=3", "CORS_ORIGINS=https://app.example")
	for _, c := range []struct {
		headers []string
		status  int
	}{
		{[]string{"Origin: https://evil.example"}, 403},
		{[]string{"Origin: null"}, 403},
		{[]string{"X-Forwarded-For: 203.0.113.1", "Origin: https://app.example"}, 101},
		{[]string{"X-Forwarded-For: 9.9.9.9, 203.0.113.1", "Sec-WebSocket-Extensions: permessage-deflate"}, 101},
		{[]string{"X-Forwarded-For: 8.8.8.8, 203.0.113.1"}, 429}, // what the client itself wrote does not count
		{[]string{"X-Forwarded-For: 203.0.113.2"}, 101},
		{[]string{"X-Forwarded-For: 203.0.113.3"}, 503},
	} {
		res, _ := s.upgrade(t, "127.0.0.1", c.headers...)
		if res.StatusCode != c.status || res.Header.Get("Sec-WebSocket-Extensions") != "" {
			t.Errorf("%q: %d %v, want %d", c.headers, res.StatusCode, res.Header, c.status)
		}
	}

	s = serve(t, "DB_TYPE=memory", "MAX_CONNECTIONS_PER_IP=2", "MESSAGE_RATE_LIMIT=50", "BYTE_RATE_LIMIT=1000000")
	for i, status := range []int{101, 101, 429} { // a stranger's header is not believed
		if res, _ := s.upgrade(t, "127.0.0.2", fmt.Sprintf("X-Forwarded-For: 203.0.113.%d", i)); res.StatusCode != status {
			t.Errorf("connection %d: %d, want %d", i, res.StatusCode, status)
		}
	}
	http.DefaultClient.CloseIdleConnections() // each is a connection of this address too
	s.createSession("s", "")
	http.DefaultClient.CloseIdleConnections()
	other, _ := s.dial(t, "s", nil)
	for _, c := range []struct {
		name, from string
		f          ws.Frame
		code       int
	}{
		{"pings", "127.0.1.1", ws.NewPingFrame(nil), 4029},
		{"pongs", "127.0.1.2", ws.NewPongFrame(nil), 4029},
		{"fragments", "127.0.1.3", ws.NewFrame(ws.OpContinuation, false, nil), 4029},
		{"empty frames", "127.0.1.4", ws.NewTextFrame(nil), 4000}, // each is a bad one too, and ten of them come first
	} {
		var flood []byte
		if c.name == "fragments" {
			flood = ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewFrame(ws.OpText, false, []byte("{"))))
		}
		for range 100 {
			flood = append(flood, ws.MustCompileFrame(ws.MaskFrame(c.f))...)
		}
		d := s.connect(t, c.from, nil)
		d.write(flood)
		if code := d.closed(); code != c.code {
			t.Errorf("%s: closed with %d, want %d", c.name, code, c.code)
		}
		other.quiet("another connection")
	}
}

// TestSockets_DeadlinesAreTenSeconds: whoever does not finish what was begun is let go by the clock of the real server:
// a request's head, the log-in, a frame, a body.
func TestSockets_DeadlinesAreTenSeconds(t *testing.T) {
	t.Parallel()
	s := serve(t, "DB_TYPE=memory")
	s.createSession("s", "")
	half, _ := s.dial(t, "s", nil)
	drip := s.raw(t, "127.0.0.1")
	var wg sync.WaitGroup
	defer wg.Wait()
	for name, begin := range map[string]func() (ends func() string, want string){
		"nothing at all": func() (func() string, string) { return s.ends(t, ""), "" },
		"half a head":    func() (func() string, string) { return s.ends(t, "GET / HTTP/1.1\r\nHost: x\r\nX-"), "" },
		"half a body": func() (func() string, string) {
			return s.ends(t, "POST /api/createSession HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"), "too slowly"
		},
		"a head that drips": func() (func() string, string) {
			wg.Go(func() {
				for _, b := range []byte("GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", 100)) {
					if _, err := drip.Write([]byte{b}); err != nil {
						return
					}
					time.Sleep(100 * time.Millisecond) // the pace of a slow client, not a wait
				}
			})
			return func() string { b, _ := io.ReadAll(drip); return string(b) }, ""
		},
		"no init": func() (func() string, string) {
			d := s.connect(t, "127.0.0.1", nil)
			return func() string { return fmt.Sprint(d.closed()) }, "4009"
		},
		"half a frame": func() (func() string, string) {
			half.write([]byte{0x81, 0x80 | 100, 1, 2, 3, 4, 5})
			return func() string { return fmt.Sprint(half.closed()) }, "1002"
		},
	} {
		began := time.Now()
		ends, want := begin()
		wg.Go(func() {
			said := ends()
			if took := time.Since(began); took < 5*time.Second || took > 15*time.Second || !strings.Contains(said, want) {
				t.Errorf("%s ended after %v with %q, want about 10 s and %q", name, took, said, want)
			}
		})
	}
}

// ends sends the beginning of something; what it returns waits for the end of the connection.
func (s *server) ends(t *testing.T, text string) func() string {
	conn := s.raw(t, "127.0.0.1")
	io.WriteString(conn, text)
	return func() string { b, _ := io.ReadAll(conn); return string(b) }
}
