package dataplane

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fastport/fastport/session"
)

var testKey = sync.OnceValue(func() Key { return mustKey("a secret of the tests") })

func mustKey(secret string) Key {
	key, err := NewKey(secret)
	if err != nil {
		panic(err)
	}
	return key
}

// end records what arrives on a link.
type end struct {
	frames chan []byte
	lost   chan bool
	hold   chan struct{} // not nil: a frame is taken once something comes from it
	refuse error
}

func newEnd() *end { return &end{frames: make(chan []byte, 10_000), lost: make(chan bool, 2)} }

func (e *end) Frame(b []byte) error {
	if e.hold != nil {
		<-e.hold
	}
	e.frames <- bytes.Clone(b)
	return e.refuse
}

func (e *end) Lost(nobody bool) { e.lost <- nobody }

func wantFrame(t *testing.T, e *end, want string) {
	t.Helper()
	select {
	case b := <-e.frames:
		if string(b) != want {
			t.Fatalf("got a frame of %d bytes, %.20q, want %d, %.20q", len(b), b, len(want), want)
		}
	case <-time.After(patience):
		t.Fatalf("no frame, want %.20q", want)
	}
}

func wantLost(t *testing.T, e *end, want bool) {
	t.Helper()
	select {
	case nobody := <-e.lost:
		if nobody != want {
			t.Fatalf("Lost(%t), want %t", nobody, want)
		}
	case <-time.After(patience):
		t.Fatal("never lost")
	}
}

const patience = 20 * time.Second

// log is what a plane logs.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }
func (l *log) String() string              { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// peer is a plane that listens, and the ends of the links that were opened to it.
type peer struct {
	*Plane
	addr  string
	log   *log
	ends  chan *end
	links chan session.Link
	conns atomic.Int64 // that were accepted
}

func (p *peer) Accept(ln net.Listener) (net.Conn, error) {
	c, err := ln.Accept()
	if err == nil {
		p.conns.Add(1)
	}
	return c, err
}

type countingListener struct {
	net.Listener
	p *peer
}

func (l countingListener) Accept() (net.Conn, error) { return l.p.Accept(l.Listener) }

func start(t *testing.T, key Key, change ...func(*end)) *peer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{addr: ln.Addr().String(), log: new(log), ends: make(chan *end, 1000), links: make(chan session.Link, 1000)}
	p.Plane = New(key, slog.New(slog.NewTextHandler(p.log, nil)))
	p.Listen(func(l session.Link) session.LinkEnd {
		e := newEnd()
		for _, c := range change {
			c(e)
		}
		p.ends <- e
		p.links <- l
		return e
	})
	served := make(chan error, 1)
	go func() { served <- p.Serve(countingListener{ln, p}) }()
	t.Cleanup(func() {
		p.Close()
		if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve = %v", err)
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", p.addr, p.log)
		}
	})
	return p
}

func TestLink_FramesKeepTheirOrderBothWays(t *testing.T) {
	a, b := start(t, testKey()), start(t, testKey())
	here := newEnd()
	out := a.Open(b.addr, here)
	big := strings.Repeat("x", maxFrame-1)
	for i := range 1000 {
		out.Send(fmt.Append(nil, i), []byte(" of a"), nil)
	}
	out.Send([]byte("!"), []byte(big), nil)
	out.Send([]byte{}, nil, nil)
	there, back := <-b.ends, <-b.links
	for i := range 1000 {
		wantFrame(t, there, fmt.Sprint(i, " of a"))
		back.Send(fmt.Append(nil, i, " of b"), nil, nil)
	}
	wantFrame(t, there, "!"+big)
	wantFrame(t, there, "")
	for i := range 1000 {
		wantFrame(t, here, fmt.Sprint(i, " of b"))
	}
	out.Send([]byte("last"), nil, nil)
	out.Close()
	wantFrame(t, there, "last")
	wantLost(t, there, false)
	wantLost(t, here, false)
	if out.Send([]byte("late"), nil, nil) || back.Send([]byte("late"), nil, nil) {
		t.Error("a link that has ended takes a frame")
	}
}

func TestLink_ClosedFromTheOtherEndSendsWhatIsQueued(t *testing.T) {
	a, b := start(t, testKey()), start(t, testKey())
	here := newEnd()
	a.Open(b.addr, here).Send([]byte("hello"), nil, nil)
	there, back := <-b.ends, <-b.links
	for i := range 100 {
		back.Send(fmt.Append(nil, i), make([]byte, 64<<10), nil)
	}
	back.Close()
	for i := range 100 {
		wantFrame(t, here, fmt.Sprint(i)+string(make([]byte, 64<<10)))
	}
	wantLost(t, here, false)
	wantLost(t, there, false)
}

func TestLink_TellsOnceThatABodyIsReadNoMore(t *testing.T) {
	a, b := start(t, testKey()), start(t, testKey())
	here := newEnd()
	out := a.Open(b.addr, here)
	out.Send([]byte("hello"), nil, nil)
	there, back := <-b.ends, <-b.links
	wantFrame(t, there, "hello")
	const bodies, size = 100, 64 << 10
	for _, way := range []struct {
		link session.Link
		end  *end
	}{{out, there}, {back, here}} { // one is read from as a request's body, the other written as its response
		told := make(chan int, 2*bodies)
		for i := range bodies {
			body := bytes.Repeat([]byte{'a' + byte(i%26)}, size)
			way.link.Send(nil, body, func() {
				clear(body)
				told <- i
			})
		}
		for i := range bodies {
			wantFrame(t, way.end, strings.Repeat(string(rune('a'+i%26)), size))
		}
		var times [bodies]int
		for range bodies {
			select {
			case i := <-told:
				times[i]++
			case <-time.After(patience):
				t.Fatalf("told so often of each: %v", times)
			}
		}
		for i, n := range times {
			if n != 1 {
				t.Errorf("of body %d it was told %d times", i, n)
			}
		}
	}
}

func TestLink_ManyGoOverOneConnection(t *testing.T) {
	a, b := start(t, testKey()), start(t, testKey())
	first := newEnd()
	a.Open(b.addr, first).Send([]byte("0"), nil, nil)
	wantFrame(t, <-b.ends, "0")
	var links []session.Link
	for range 100 {
		l := a.Open(b.addr, newEnd())
		l.Send([]byte("x"), nil, nil)
		links = append(links, l)
	}
	for range links {
		wantFrame(t, <-b.ends, "x")
	}
	if n := b.conns.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestLink_OneThatNobodyReadsEndsAloneAndIsBounded(t *testing.T) {
	hold := make(chan struct{})
	var held atomic.Bool
	a, b := start(t, testKey()), start(t, testKey(), func(e *end) {
		if held.CompareAndSwap(false, true) {
			e.hold = hold
		}
	})
	defer close(hold)
	stuck := newEnd()
	out := a.Open(b.addr, stuck)
	<-b.ends
	sent := 0
	for range 48 {
		sent++
		out.Send(nil, make([]byte, 64<<10), nil)
	}
	awaitStill(t, out.(*link)) // what is sent waits for the other end's window
	for out.Send(nil, make([]byte, 64<<10), nil) {
		if sent++; sent > 1000 {
			t.Fatal("takes more and more")
		}
	}
	if sent < maxQueue/(64<<10)-1 {
		t.Errorf("%d frames, want what a queue holds", sent)
	}
	wantLost(t, stuck, false)
	a.Open(b.addr, newEnd()).Send([]byte("other"), nil, nil)
	wantFrame(t, <-b.ends, "other")
}

// awaitStill waits until nothing of what is queued goes out any more.
func awaitStill(t *testing.T, l *link) {
	t.Helper()
	waiting := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.bytes
	}
	begun, since, last := time.Now(), time.Now(), waiting()
	for last == 0 || time.Since(since) < 200*time.Millisecond {
		time.Sleep(5 * time.Millisecond)
		if now := waiting(); now != last {
			since, last = time.Now(), now
		}
		if time.Since(begun) > patience {
			t.Fatalf("%d bytes wait, and go on", last)
		}
	}
}

func TestLink_NobodyThereIsTold(t *testing.T) {
	a := start(t, testKey())
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	here := newEnd()
	a.Open(gone.Addr().String(), here)
	wantLost(t, here, true)
	here = newEnd()
	a.Open("no address", here)
	wantLost(t, here, false)
}

func TestLink_AKilledNodeIsLostAtOnce(t *testing.T) {
	a, b := start(t, testKey()), start(t, testKey())
	here, there := newEnd(), newEnd()
	a.Open(b.addr, here).Send([]byte("x"), nil, nil)
	b.Open(a.addr, there).Send([]byte("y"), nil, nil)
	wantFrame(t, <-b.ends, "x")
	wantFrame(t, <-a.ends, "y")
	b.Close()
	wantLost(t, here, false)
	wantLost(t, there, false)
	late := newEnd()
	b.Open(a.addr, late)
	wantLost(t, late, false)
}

// A connection that breaks without a word, as a cable does that is pulled at the other end.
func TestLink_ABrokenConnectionIsLostAtOnce(t *testing.T) {
	a, b := start(t, testKey()), start(t, testKey())
	between, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer between.Close()
	here := newEnd()
	a.Open(between.Addr().String(), here).Send([]byte("x"), nil, nil)
	in, err := between.Accept()
	if err != nil {
		t.Fatal(err)
	}
	out, err := net.Dial("tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	var copies sync.WaitGroup
	defer copies.Wait()
	copies.Go(func() { io.Copy(in, out) })
	copies.Go(func() { io.Copy(out, in) })
	there := <-b.ends
	wantFrame(t, there, "x")
	in.Close()
	out.Close()
	wantLost(t, here, false)
	wantLost(t, there, false)
}

func TestLink_AFrameThatMakesNoSenseEndsItAlone(t *testing.T) {
	a := start(t, testKey())
	b := start(t, testKey(), func(e *end) { e.refuse = errors.New("nonsense") })
	here := newEnd()
	a.Open(b.addr, here).Send([]byte("x"), nil, nil)
	wantLost(t, here, false)
	wantLost(t, <-b.ends, false)
	if !strings.Contains(b.log.String(), "nonsense") {
		t.Errorf("the log says %q", b.log)
	}
}

func TestPlane_AnotherSecretIsRefusedAndLogged(t *testing.T) {
	a, b := start(t, testKey()), start(t, mustKey("a secret of the tests."))
	here := newEnd()
	a.Open(b.addr, here).Send([]byte("x"), nil, nil)
	wantLost(t, here, false)
	if !strings.Contains(a.log.String(), "another CLUSTER_SECRET") {
		t.Errorf("who dials logs %q", a.log)
	}

	// Who does not mind whom it talks to is refused by the other end.
	for name, config := range map[string]*tls.Config{
		"another key":    {Certificates: []tls.Certificate{mustKey("x").certificate}, InsecureSkipVerify: true, NextProtos: []string{"h2"}},
		"no certificate": {InsecureSkipVerify: true, NextProtos: []string{"h2"}},
		"TLS 1.2":        {Certificates: []tls.Certificate{mustKey("a secret of the tests.").certificate}, InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12},
		// The certificate alone, seen by anyone who dials, is not the key.
		"another's certificate": {Certificates: []tls.Certificate{{Certificate: b.certificateChain(), PrivateKey: mustKey("x").certificate.PrivateKey}}, InsecureSkipVerify: true},
	} {
		conn, err := tls.Dial("tcp", b.addr, config)
		if err == nil {
			conn.SetDeadline(time.Now().Add(patience))
			_, err = io.ReadAll(conn) // in TLS 1.3 the client hears of it with its first read
			conn.Close()
		}
		if err == nil {
			t.Errorf("%s: nobody minds", name)
		}
	}
	if log := b.log.String(); !strings.Contains(log, "another CLUSTER_SECRET") || strings.Contains(log, "of the tests") {
		t.Errorf("who is dialled logs %q", log)
	}
	if len(b.ends) != 0 {
		t.Error("a stranger's link is taken")
	}
}

func (p *peer) certificateChain() [][]byte {
	return p.client.TLSClientConfig.Certificates[0].Certificate
}

func TestPlane_GarbageHurtsNobodyElse(t *testing.T) {
	a, b := start(t, testKey()), start(t, testKey())
	noise := make([]byte, 64<<10)
	rand.NewChaCha8([32]byte{}).Read(noise)
	for name, bytes := range map[string][]byte{
		"nothing": nil, "HTTP": []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "noise": noise,
		"HTTP/2 without TLS": []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
	} {
		conn, err := net.Dial("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(bytes)
		conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.ReadAll(conn); errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: the connection stays open", name)
		}
		conn.Close()
	}
	here := newEnd()
	a.Open(b.addr, here).Send([]byte("x"), nil, nil)
	wantFrame(t, <-b.ends, "x")
}

// request speaks HTTP/2 as a holder of the secret who keeps no other rule.
func request(t *testing.T, p *peer, method, path string, header http.Header, body io.Reader) (status int) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://"+p.addr+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if header != nil {
		r.Header = header
	}
	response, err := p.client.RoundTrip(r)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	return response.StatusCode
}

func TestPlane_TakesNothingButLinks(t *testing.T) {
	p := start(t, testKey())
	if got := request(t, p, "GET", path, nil, nil); got != http.StatusNotFound {
		t.Errorf("GET = %d, want 404", got)
	}
	if got := request(t, p, "POST", "/other", nil, nil); got != http.StatusNotFound {
		t.Errorf("another path = %d, want 404", got)
	}
	if got := request(t, p, "POST", path, http.Header{"X": {strings.Repeat("x", 64<<10)}}, nil); got == http.StatusOK {
		t.Error("a header of 64 KiB is taken")
	}
	if len(p.ends) != 0 {
		t.Error("a link was made of it")
	}
	p.Listen(nil)
	if got := request(t, p, "POST", path, nil, nil); got != http.StatusServiceUnavailable {
		t.Errorf("with nobody to take it = %d, want 503", got)
	}
}

func TestPlane_AFrameLongerThanAnyEndsItsLink(t *testing.T) {
	p := start(t, testKey())
	for _, length := range []uint32{maxFrame + 1, 1 << 31, 1<<32 - 1} {
		request(t, p, "POST", path, nil, io.MultiReader(bytes.NewReader(binary.BigEndian.AppendUint32(nil, length)), endless{}))
		e := <-p.ends
		wantLost(t, e, false)
		if len(e.frames) != 0 {
			t.Errorf("a frame of %d bytes is handed on", length)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func FuzzReader(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 'x', 0, 0, 0, 0, 0, 0, 0, 2, 'y', 'z'})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{0, 2, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newReader(bytes.NewReader(b))
		var again []byte
		for {
			frame, err := r.next()
			if err != nil {
				break
			}
			again = append(appendHeader(again, len(frame)), frame...)
		}
		if !bytes.HasPrefix(b, again) {
			t.Fatalf("%x was read as %x", b, again)
		}
		if cap(r.buf) > maxFrame {
			t.Fatalf("a buffer of %d bytes", cap(r.buf))
		}
	})
}
