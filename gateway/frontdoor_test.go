package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fastport/fastport/protocol"
)

const upgradeHead = "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// refused reads an HTTP refusal and holds its body against the error form.
func (c *client) refused(status int, code protocol.Code) {
	c.t.Helper()
	res, err := http.ReadResponse(c.br, nil)
	if err != nil {
		c.t.Fatalf("response: %v, want %d", err, status)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	var got struct {
		Success *bool
		Code    protocol.Code
		Error   string
	}
	if err := json.Unmarshal(body, &got); err != nil || got.Success == nil || *got.Success || got.Error == "" {
		c.t.Fatalf("body = %s", body)
	}
	if res.StatusCode != status || got.Code != code {
		c.t.Fatalf("response = %d %s, want %d %s", res.StatusCode, got.Code, status, code)
	}
}

func TestFrontDoor_ServesHTTPAndKeepsItAlive(t *testing.T) {
	r := start(t, Config{}, echoes)
	c := r.rawDial()
	for i := range 3 {
		fmt.Fprintf(c.conn, "POST /api/%d HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody", i)
		res, err := http.ReadResponse(c.br, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); string(body) != fmt.Sprintf("POST /api/%d body", i) {
			t.Fatalf("body = %s", body)
		}
	}
	// A proxy may upgrade a connection that served others before.
	c.write([]byte(upgradeHead + "\r\n"))
	if status := c.head()[""]; !strings.Contains(status, "101") {
		t.Fatalf("upgrade of a kept-alive connection = %q", status)
	}
	c.send("hello")
	c.expect("hello")
	for _, target := range []string{"/", "/ws", "/other"} {
		res, err := http.Get("http://" + r.addr + target)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); string(body) != "GET "+target+" " {
			t.Fatalf("body = %s", body)
		}
		res.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestFrontDoor_RefusesWrongHandshakes(t *testing.T) {
	r := start(t, Config{}, nil)
	for name, test := range map[string]struct {
		old, new string
		status   int
	}{
		"POST":          {"GET", "POST", 405},
		"HTTP/1.0":      {"HTTP/1.1", "HTTP/1.0", 400},
		"no connection": {"Connection: Upgrade", "Connection: keep-alive", 400},
		"version 8":     {"Version: 13", "Version: 8", 426},
		"short key":     {"dGhlIHNhbXBsZSBub25jZQ==", "dGhl", 400},
		"a body":        {"Host: x\r\n", "Host: x\r\nContent-Length: 3\r\n", 400},
		"a chunked one": {"Host: x\r\n", "Host: x\r\nTransfer-Encoding: chunked\r\n", 400},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.rawDial()
			c.t = t
			c.write([]byte(strings.Replace(upgradeHead, test.old, test.new, 1) + "\r\n"))
			c.refused(test.status, protocol.BadRequest)
		})
	}
	if got := r.srv.Stats().Rejected["handshake"]; got != 7 {
		t.Fatalf("rejected = %d, want 7", got)
	}
}

func TestFrontDoor_BoundsTheHead(t *testing.T) {
	r := start(t, Config{HeaderTimeout: 100 * time.Millisecond}, nil)
	c := r.rawDial()
	// A slow one is cut off, though each byte comes in time.
	began := time.Now()
	for _, b := range []byte(strings.Repeat("GET / HTTP/1.1\r\n", 100)) {
		if _, err := c.conn.Write([]byte{b}); err != nil {
			break
		}
		time.Sleep(5 * time.Millisecond) // the pace of a slow client, not a wait
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Fatalf("a slow head had %v", took)
	}
	c = r.rawDial()
	head := "GET / HTTP/1.1\r\nHost: x\r\nX: "
	c.write([]byte(head + strings.Repeat("x", protocol.MaxHeaderBytes-len(head)+1)))
	if status := c.head()[""]; !strings.Contains(status, "431") {
		t.Fatalf("head of more than 16 KiB = %q", status)
	}
}

func TestFrontDoor_ChecksOriginsOfBrowsersOnly(t *testing.T) {
	r := start(t, Config{CORSOrigins: []string{"https://app.example", "http://localhost:5173/"}}, nil)
	for origin, ok := range map[string]bool{
		"": true, "https://app.example": true, "HTTPS://APP.example": true, "http://localhost:5173": true,
		"https://evil.example": false, "http://app.example": false, "null": false, "https://app.example.evil": false,
	} {
		c := r.rawDial()
		head := upgradeHead
		if origin != "" {
			head += "Origin: " + origin + "\r\n"
		}
		c.write([]byte(head + "\r\n"))
		if ok {
			if status := c.head()[""]; !strings.Contains(status, "101") {
				t.Errorf("origin %q: %s", origin, status)
			}
		} else {
			c.refused(http.StatusForbidden, protocol.Unauthorized)
		}
	}
}

func TestFrontDoor_LimitsConnectionsInAll(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.MaxConnections = 2
		r := start(t, cfg, nil)
		c := r.dial()
		r.dial()
		over := r.rawDial()
		over.write([]byte(upgradeHead + "\r\n"))
		over.refused(http.StatusServiceUnavailable, protocol.Unavailable)
		c.write(frame(0x88, ""))
		c.expectClose(0)
		eventually(t, "there is room again", func() bool {
			c, err := r.tryDial("/", nil)
			return err == nil && c != nil
		})
	})
}

func TestFrontDoor_LimitsConnectionsOfAnAddress(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.MaxConnectionsPerIP = 2
		r := start(t, cfg, nil)
		for range 5 { // what is over does not count
			h := r.rawDial()
			h.write([]byte("GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
			if status := h.head()[""]; !strings.Contains(status, "200") {
				t.Fatal(status)
			}
			io.Copy(io.Discard, h.br)
			eventually(t, "it is gone", func() bool { return r.srv.Stats().Pending == 0 })
		}
		c := r.dial()
		r.dial()
		over := r.rawDial()
		over.write([]byte(upgradeHead + "\r\n"))
		over.refused(http.StatusTooManyRequests, protocol.RateLimited)
		if conn, err := dialFrom("127.0.0.2", r.addr); err != nil {
			t.Fatal(err)
		} else {
			defer conn.Close()
			fmt.Fprint(conn, upgradeHead+"\r\n")
			if _, err := io.ReadFull(conn, make([]byte, 12)); err != nil {
				t.Fatalf("another address: %v", err)
			}
		}
		c.conn.Close()
		eventually(t, "there is room again", func() bool {
			c, err := r.tryDial("/", nil)
			return err == nil && c != nil
		})
	})
}

func dialFrom(source, addr string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	return d.Dial("tcp", addr)
}

func TestFrontDoor_LimitsTheRateOfAnAddress(t *testing.T) {
	r := start(t, Config{ConnectionRate: 1, ConnectionBurst: 3}, nil)
	for range 3 {
		r.dial()
	}
	over := r.rawDial()
	over.write([]byte(upgradeHead + "\r\n"))
	over.refused(http.StatusTooManyRequests, protocol.RateLimited)
	if got := r.srv.Stats().Rejected["connection_rate"]; got != 1 {
		t.Fatalf("rejected = %d, want 1", got)
	}
}

func TestFrontDoor_LimitsThoseWhoHaveNotLoggedIn(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.MaxPending = 2
		r := start(t, cfg, func(p *peer) {
			p.ready.Store(false)
			p.text = func(p *peer, frame []byte) bool { p.ready.Store(true); return echo(p, frame) }
		})
		c := r.dial()
		r.rawDial() // says nothing at all: counts too
		eventually(t, "both are counted", func() bool { return r.srv.Stats().Pending == 2 })
		r.rawDial().refused(http.StatusServiceUnavailable, protocol.Unavailable)
		eventually(t, "the refused one is gone", func() bool { return r.srv.Stats().Pending == 2 })
		c.send("login")
		c.expect("login")
		r.dial()
	})
}

func TestFrontDoor_TakesTheAddressFromTrustedProxiesOnly(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
		cfg.MaxConnectionsPerIP = 1
		r := start(t, cfg, nil)
		header := http.Header{"X-Forwarded-For": {"9.9.9.9, 203.0.113.7"}}
		if _, err := r.tryDial("/", header); err != nil {
			t.Fatal(err)
		}
		if got := r.peer().from; got != netip.MustParseAddr("203.0.113.7") {
			t.Fatalf("from = %v", got)
		}
		if _, err := r.tryDial("/", header); err == nil {
			t.Fatal("the client's second connection was taken")
		}
		header.Set("X-Forwarded-For", "203.0.113.8")
		if _, err := r.tryDial("/", header); err != nil {
			t.Fatalf("another client of the proxy: %v", err)
		}
		conn, err := dialFrom("127.0.0.2", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		r.peer()
		fmt.Fprint(conn, upgradeHead+"X-Forwarded-For: 203.0.113.9\r\n\r\n")
		if got := r.peer().from; got != netip.MustParseAddr("127.0.0.2") {
			t.Fatalf("from = %v: a stranger's header was believed", got)
		}
	})
}

func TestClientAddr(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, test := range []struct {
		remote string
		xff    []string
		want   string
	}{
		{"192.0.2.1:5", []string{"1.1.1.1"}, "192.0.2.1"},
		{"10.0.0.1:5", nil, "10.0.0.1"},
		{"10.0.0.1:5", []string{"1.1.1.1"}, "1.1.1.1"},
		{"10.0.0.1:5", []string{"6.6.6.6, 1.1.1.1, 10.0.0.9"}, "1.1.1.1"},
		{"10.0.0.1:5", []string{"6.6.6.6", "1.1.1.1", "10.0.0.9, 10.0.0.8"}, "1.1.1.1"},
		{"10.0.0.1:5", []string{"10.0.0.7, 10.0.0.9"}, "10.0.0.7"},
		{"10.0.0.1:5", []string{"1.1.1.1, unknown, 10.0.0.9"}, "10.0.0.9"},
		{"10.0.0.1:5", []string{"", "1.1.1.1"}, "1.1.1.1"},
		{"10.0.0.1:5", []string{"1.1.1.1:4711"}, "1.1.1.1"},
		{"[fd00::1]:5", []string{"[2001:db8::1]:4711"}, "2001:db8::1"},
		{"[fd00::1]:5", []string{"2001:db8::1"}, "2001:db8::1"},
		{"[::ffff:10.0.0.1]:5", []string{"::ffff:1.1.1.1"}, "1.1.1.1"},
		{"[fe80::1%eth0]:5", nil, "fe80::1"},
	} {
		r := &http.Request{RemoteAddr: test.remote, Header: http.Header{"X-Forwarded-For": test.xff}}
		if got := ClientAddr(r, trusted); got != netip.MustParseAddr(test.want) {
			t.Errorf("%s, %q = %v, want %s", test.remote, test.xff, got, test.want)
		}
	}
	if got := ParseAddr("@"); got.IsValid() {
		t.Errorf("no address = %v", got)
	}
}

func TestAddressLimits_RefillAndForget(t *testing.T) {
	l := newAddressLimits(0, 10, 20)
	now := time.Now()
	addr := netip.MustParseAddr("2001:db8::1")
	for i := range 20 {
		// The whole /64 is one client.
		a := addr.As16()
		a[15] = byte(i)
		if _, ok := l.take(netip.AddrFrom16(a), now); !ok {
			t.Fatalf("connection %d of the burst was refused", i)
		}
	}
	if why, ok := l.take(addr, now); ok || why != rejectRate {
		t.Fatal("the burst has no end")
	}
	if _, ok := l.take(netip.MustParseAddr("2001:db8:0:1::1"), now); !ok {
		t.Fatal("another network was refused")
	}
	if _, ok := l.take(addr, now.Add(100*time.Millisecond)); !ok {
		t.Fatal("a tenth of a second made no token at 10 a second")
	}
	for range 21 {
		l.release(addr)
	}
	l.release(netip.MustParseAddr("2001:db8:0:1::1"))
	l.forget(now.Add(200 * time.Millisecond))
	if l.size() != 1 {
		t.Fatalf("addresses = %d, want the one in debt", l.size())
	}
	l.forget(now.Add(time.Minute))
	if l.size() != 0 {
		t.Fatalf("addresses = %d, want 0", l.size())
	}
}

func (l *addressLimits) size() (n int) {
	for i := range l.shards {
		n += len(l.shards[i].usage)
	}
	return n
}

func TestFrontDoor_FloodOfConnectionsLeavesNothing(t *testing.T) {
	r := start(t, Config{MaxPending: 10, ConnectionRate: 5, ConnectionBurst: 5}, nil)
	for range 300 {
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
	}
	eventually(t, "no connection is pending", func() bool { return r.srv.Stats().Pending == 0 })
	if got := r.srv.Stats().Rejected; got["connection_rate"] == 0 {
		t.Fatalf("rejected = %v", got)
	}
}
