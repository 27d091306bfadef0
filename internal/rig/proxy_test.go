package rig

import (
	"bufio"
	"errors"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// echo answers each line with itself, and remembers what it heard.
type echo struct {
	addr string
	mu   sync.Mutex
	said []string
	more chan struct{} // a token for each line
}

func startEcho(t *testing.T) *echo {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := &echo{addr: ln.Addr().String(), more: make(chan struct{}, 100)}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				lines := bufio.NewScanner(conn)
				for lines.Scan() {
					e.mu.Lock()
					e.said = append(e.said, lines.Text())
					e.mu.Unlock()
					e.more <- struct{}{}
					conn.Write([]byte(lines.Text() + "\r\n"))
				}
			})
		}
	})
	t.Cleanup(func() { ln.Close(); running.Wait() })
	return e
}

// heard waits for one more line.
func (e *echo) heard(t *testing.T) {
	t.Helper()
	select {
	case <-e.more:
	case <-time.After(20 * time.Second):
		t.Fatal("the server hears nothing")
	}
}

func linkTo(t *testing.T, e *echo) *Link {
	t.Helper()
	l := new(Link)
	if _, err := l.proxyFor(e.addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

// caller is a node's connection.
type caller struct {
	t *testing.T
	net.Conn
	lines *bufio.Reader
}

func dial(t *testing.T, l *Link) *caller {
	t.Helper()
	conn, err := net.Dial("tcp", l.proxies[0].addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &caller{t: t, Conn: conn, lines: bufio.NewReader(conn)}
}

func (c *caller) say(line string) {
	c.t.Helper()
	if _, err := c.Write([]byte(line + "\r\n")); err != nil {
		c.t.Fatal(err)
	}
}

func (c *caller) hears(want string) {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if got, err := c.lines.ReadString('\n'); err != nil || strings.TrimSpace(got) != want {
		c.t.Fatalf("heard %q, %v, want %q", got, err, want)
	}
}

// hearsNothing looks for a moment: what arrives late is found by the next hears.
func (c *caller) hearsNothing() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if b, err := c.lines.Peek(1); !isTimeout(err) {
		c.t.Fatalf("heard %q, %v, want nothing", b, err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// over waits for the end of the connection.
func (c *caller) over() {
	c.t.Helper()
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	if b, err := c.lines.ReadByte(); err == nil || isTimeout(err) {
		c.t.Fatalf("heard %q, %v, want the end", b, err)
	}
}

func TestLink_CutEndsWhatIsOpenAndRefusesUntilHealed(t *testing.T) {
	l := linkTo(t, startEcho(t))
	c := dial(t, l)
	c.say("hello")
	c.hears("hello")
	l.Cut()
	c.over()
	if conn, err := net.Dial("tcp", l.proxies[0].addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("dial: %v, %v, want refused", conn, err)
	}
	for range 2 { // healing what is sound does nothing
		if err := l.Heal(); err != nil {
			t.Fatal(err)
		}
	}
	c = dial(t, l)
	c.say("again")
	c.hears("again")
}

func TestLink_OneWayCutPassesTheOtherWayAndLosesNothing(t *testing.T) {
	e := startEcho(t)
	l := linkTo(t, e)
	c := dial(t, l)
	l.CutOneWay(ToNode)
	c.say("one")
	e.heard(t)
	c.hearsNothing()
	l.Heal()
	c.hears("one")

	l.CutOneWay(ToServer)
	c.say("two")
	c.hearsNothing()
	e.mu.Lock()
	if len(e.said) != 1 {
		t.Errorf("the server heard %q through a cut", e.said)
	}
	e.mu.Unlock()
	l.Heal()
	c.hears("two")
}

func TestLink_FrozenTakesConnectionsAndPassesEverythingOnceHealed(t *testing.T) {
	l := linkTo(t, startEcho(t))
	before := dial(t, l)
	before.say("before")
	before.hears("before")
	l.Freeze()
	during := dial(t, l)
	for _, c := range []*caller{before, during} {
		c.say("frozen")
		c.hearsNothing()
	}
	l.Heal()
	before.hears("frozen")
	during.hears("frozen")
}

func TestLink_DeafIsWhoWasConnectedUntilItConnectsAgain(t *testing.T) {
	e := startEcho(t)
	l := linkTo(t, e)
	deaf := dial(t, l)
	deaf.say("hello")
	deaf.hears("hello")
	e.heard(t)
	l.Deafen()
	deaf.say("are you there")
	e.heard(t)
	deaf.hearsNothing()
	fresh := dial(t, l)
	fresh.say("hello")
	fresh.hears("hello")
	l.Heal() // and what was swallowed does not come: the connection ends
	deaf.over()
	fresh.say("again")
	fresh.hears("again")
}

func TestLink_DeafSubscriptionsLeaveTheOthersAlone(t *testing.T) {
	e := startEcho(t)
	l := linkTo(t, e)
	listens, asks := dial(t, l), dial(t, l)
	for _, c := range []*caller{listens, asks} {
		c.say("PUBLISH")
		c.hears("PUBLISH")
	}
	listens.say("SUBSCRIBE")
	listens.hears("SUBSCRIBE")
	l.DeafenSubscriptions()
	listens.say("x")
	asks.say("y")
	asks.hears("y")
	listens.hearsNothing()
}

func TestLink_ServerThatIsDownResetsTheNode(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	l := linkTo(t, &echo{addr: ln.Addr().String()})
	conn, err := net.Dial("tcp", l.proxies[0].addr)
	if errors.Is(err, syscall.ECONNRESET) {
		return // at once
	}
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	(&caller{t: t, Conn: conn, lines: bufio.NewReader(conn)}).over()
}

func TestPorts_AreRewrittenHoweverTheWordsAreCut(t *testing.T) {
	m := ports{"11111": "22222", "33333": "44444"}
	rapid.Check(t, func(t *rapid.T) {
		said := strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{
			"*2\r\n$9\r\n127.0.0.1\r\n$5\r\n11111\r\n", "+switch-master m 127.0.0.1 11111 127.0.0.1 33333\r\n",
			"$40\r\na11111b3333333333\r\n", ":5\r\n", "$5\r\n99999\r\n",
		})).Draw(t, "said"), "")
		want := strings.NewReplacer(" 11111", " 22222", " 33333", " 44444", "\n11111", "\n22222").Replace(said)
		var got, held []byte
		for rest := said; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			b := append(held, rest[:n]...)
			rest = rest[n:]
			keep := m.rewrite(b)
			got = append(got, b[:len(b)-keep]...)
			held = append([]byte(nil), b[len(b)-keep:]...)
		}
		if string(got) != want || len(held) > 0 {
			t.Fatalf("got %q and held %q, want %q", got, held, want)
		}
	})
}
