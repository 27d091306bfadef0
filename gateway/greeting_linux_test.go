package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

func (c *client) closeWrite() {
	c.t.Helper()
	if err := c.conn.(*net.TCPConn).CloseWrite(); err != nil {
		c.t.Fatal(err)
	}
}

func TestGreeting_TakesAHeadInAnyPieces(t *testing.T) {
	r := start(t, Config{}, echoes)
	head := upgradeHead + "X: " + repeat("y", 5000) + "\r\n\r\n"
	for _, size := range []int{1, 7, 1000} {
		c := r.rawDial()
		c.conn.(*net.TCPConn).SetNoDelay(true)
		for rest := head; rest != ""; {
			n := min(size, len(rest))
			c.write([]byte(rest[:n]))
			rest = rest[n:]
			runtime.Gosched()
		}
		if status := c.head()[""]; !strings.Contains(status, "101") {
			t.Fatalf("in pieces of %d: %q", size, status)
		}
		c.send("hello")
		c.expect("hello")
	}
}

// Through net/http, as the path in other words goes, the frames come by its buffer and by what is read again.
func TestGreeting_FramesBehindTheHandshakeAreNotLost(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, echoes)
		for _, path := range []string{"GET / ", "GET /%77s "} {
			for _, size := range []int{3, 5000, 40_000} {
				c := r.rawDial()
				data := []byte(strings.Replace(upgradeHead, "GET / ", path, 1) + "\r\n")
				said := repeat("z", size)
				data = append(data, frame(0x81, said)...)
				c.write(append(data, frame(0x81, "and more")...))
				if status := c.head()[""]; !strings.Contains(status, "101") {
					t.Fatal(status)
				}
				c.expect(said)
				c.expect("and more")
			}
		}
	})
}

func TestGreeting_WhatIsNoUpgradeIsReadAgainByHTTP(t *testing.T) {
	r := start(t, Config{}, nil)
	for _, test := range []struct {
		pieces []string
		want   string
	}{
		{[]string{"G", "ET /", "w", "hat HTTP/1.1\r\nHost: x\r\n\r\n"}, "GET /what "},
		{[]string{"P", "OST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbo", "dy"}, "POST /ws body"},
		{[]string{"GET /ws HTTP/1.1\r\nHo", "st: x\r\n", "\r\n"}, "GET /ws "},
		{[]string{"GET / HTTP/1.1\nHost: x\n", "\n"}, "GET / "},
	} {
		c := r.rawDial()
		for _, piece := range test.pieces {
			c.write([]byte(piece))
			runtime.Gosched()
		}
		res, err := http.ReadResponse(c.br, nil)
		if err != nil {
			t.Fatalf("%q: %v", test.pieces, err)
		}
		body, _ := io.ReadAll(res.Body)
		if string(body) != test.want {
			t.Fatalf("body = %q, want %q", body, test.want)
		}
	}
	for _, garbage := range []string{"\x16\x03\x01\x00\xff\r\n\r\n", "GET / HTTP/1.1\r\nHost\r\n\r\n", "GET /ws nonsense\r\n\r\n"} {
		c := r.rawDial()
		c.write([]byte(garbage))
		if status := c.head()[""]; !strings.Contains(status, " 400 ") {
			t.Fatalf("%q: %q, want 400", garbage, status)
		}
	}
}

func TestGreeting_ACloseBeforeTheHeadLeavesNothing(t *testing.T) {
	r := start(t, Config{}, echoes)
	for _, said := range []string{"", "GET / HTTP/1.1\r\nHo"} {
		c := r.rawDial()
		c.write([]byte(said))
		c.conn.Close()
		c = r.rawDial()
		c.write([]byte(said))
		c.closeWrite()
		io.Copy(io.Discard, c.br) // up to the end
	}
	eventually(t, "no connection is pending", func() bool { return r.srv.Stats().Pending == 0 })
	c := r.rawDial()
	c.write([]byte(upgradeHead + "\r\n"))
	c.write(frame(0x81, "last words"))
	c.closeWrite()
	if status := c.head()[""]; !strings.Contains(status, "101") {
		t.Fatalf("a whole head, and the end: %q", status)
	}
}

func TestGreeting_IsCutOffInTimeWithoutAGoroutine(t *testing.T) {
	r := start(t, Config{HeaderTimeout: 300 * time.Millisecond}, nil)
	r.dial() // so that all goroutines are there
	before := runtime.NumGoroutine()
	var silent []*client
	for i := range 100 {
		c := r.rawDial()
		c.write([]byte(upgradeHead[:i]))
		silent = append(silent, c)
	}
	if now := runtime.NumGoroutine(); now > before+20 {
		t.Fatalf("goroutines = %d, %d before", now, before)
	}
	for _, c := range silent {
		if _, err := c.br.ReadByte(); errors.Is(err, io.EOF) || err != nil && !isTimeout(err) {
			continue
		} else {
			t.Fatalf("half a head: %v, want the end", err)
		}
	}
	eventually(t, "no connection is pending but the first", func() bool { return r.srv.Stats().Pending <= 1 })
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// deadlines is a net.Conn that notes its read deadlines.
type deadlines struct {
	net.Conn
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error { d.set = append(d.set, t); return nil }

func TestGreeting_HTTPHasTheRestOfTheHeadsTimeOnly(t *testing.T) {
	nc, end := &deadlines{}, time.Now().Add(time.Second)
	c := &frontConn{Conn: nc, head: end}
	c.SetReadDeadline(end.Add(time.Minute))
	c.SetReadDeadline(end.Add(time.Hour))
	if !nc.set[0].Equal(end) || !nc.set[1].Equal(end.Add(time.Hour)) {
		t.Fatalf("deadlines = %v, want %v and an hour more", nc.set, end)
	}
}

// net/http closes without a word once it has begun to shut down; until then there is a 503.
func TestGreeting_WhoSpeaksInADrainIsRefused(t *testing.T) {
	r := start(t, Config{}, nil)
	silent, half := r.rawDial(), r.rawDial()
	half.write([]byte(upgradeHead))
	eventually(t, "both are greeted", func() bool { return r.srv.Stats().Pending == 2 })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- r.srv.Drain(ctx, false) }()
	eventually(t, "the drain has begun", r.srv.draining.Load)
	half.write([]byte("\r\n"))
	silent.write([]byte(upgradeHead + "\r\n"))
	for _, c := range []*client{half, silent} {
		said, err := io.ReadAll(c.br)
		if isTimeout(err) || len(said) > 0 && !strings.HasPrefix(string(said), "HTTP/1.1 503 ") {
			t.Fatalf("read: %.40q, %v; want 503 or nothing, and the end", said, err)
		}
	}
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
}

func TestGreeting_CloseWaitsForNobodyWhoIsSilent(t *testing.T) {
	r := start(t, Config{HeaderTimeout: time.Hour}, nil)
	silent := r.rawDial()
	eventually(t, "it is greeted", func() bool { return r.srv.Stats().Pending == 1 })
	closed := make(chan error, 1)
	go func() { closed <- r.srv.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		silent.conn.Close()
		t.Fatal("Close waits for a head")
	}
}
