package redis

import (
	"bytes"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/backplane"
)

// listener is a Receiver that keeps what it gets and, like the engine, joins its channels again when the link is back.
type listener struct {
	t testing.TB
	b *Backplane

	mu       sync.Mutex // guards the following
	held     []backplane.Channel
	copies   []*backplane.Copy
	commands []backplane.Command
	links    []bool
	rejoined int                   // channels joined since the link was last up
	onCopy   func(*backplane.Copy) // may be nil
	changed  chan struct{}
}

// listen opens a node and its listener.
func listen(t testing.TB, o Options, id string) *listener {
	t.Helper()
	l := &listener{t: t, b: openNode(t, o, id), changed: make(chan struct{})}
	l.b.Listen(l)
	return l
}

func (l *listener) note(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *listener) Copies(cs []*backplane.Copy) {
	for _, c := range cs {
		if l.onCopy != nil {
			l.onCopy(c)
		}
		l.note(func() { l.copies = append(l.copies, c) })
	}
}
func (l *listener) Note(*backplane.Note)   {}
func (l *listener) Heads(*backplane.Heads) {}
func (l *listener) Command(c *backplane.Command) {
	l.note(func() { l.commands = append(l.commands, *c) })
}

func (l *listener) Link(up bool) {
	var held []backplane.Channel
	l.note(func() {
		l.links = append(l.links, up)
		l.rejoined = 0
		if up {
			held = slices.Clone(l.held)
		}
	})
	for _, ch := range held {
		l.b.Join(ch, func(err error) {
			if err == nil {
				l.note(func() { l.rejoined++ })
			}
		})
	}
}

// wait blocks until met, called under the lock, says so.
func (l *listener) wait(what string, met func() bool) {
	l.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		l.mu.Lock()
		ok, changed := met(), l.changed
		l.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			l.t.Fatalf("waited %v in vain for %s; links %v, stats %+v, fault %v", patience, what, l.links, l.b.Stats(), l.b.Fault())
		}
	}
}

// waitLinks blocks until the link has been told of so often, and returns the words.
func (l *listener) waitLinks(n int) []bool {
	l.t.Helper()
	l.wait("a change of the link", func() bool { return len(l.links) >= n })
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.links)
}

func (l *listener) join(chs ...backplane.Channel) {
	l.t.Helper()
	answers := make(chan error, len(chs))
	for _, ch := range chs {
		l.b.Join(ch, func(err error) { answers <- err })
	}
	for range chs {
		if err := l.answer("join", answers); err != nil {
			l.t.Fatalf("join: %v", err)
		}
	}
	l.mu.Lock()
	l.held = append(l.held, chs...)
	l.mu.Unlock()
}

func (l *listener) answer(what string, answers <-chan error) error {
	l.t.Helper()
	select {
	case err := <-answers:
		return err
	case <-time.After(patience):
		l.t.Fatalf("%s was not answered within %v", what, patience)
		return nil
	}
}

// announce sends a copy and returns its answer.
func (l *listener) announce(ch backplane.Channel, id string) error {
	l.t.Helper()
	answers := make(chan error, 1)
	l.b.Announce(&backplane.Copy{Channel: ch, MessageID: id}, false, func(err error) { answers <- err })
	return l.answer("announce", answers)
}

func (l *listener) waitCopy(id string) (c *backplane.Copy) {
	l.t.Helper()
	l.wait("copy "+id, func() bool {
		for _, each := range l.copies {
			if each.MessageID == id {
				c = each
			}
		}
		return c != nil
	})
	return c
}

func topic(i int) backplane.Channel {
	return backplane.Channel{Session: "session", Topic: "topic " + strconv.Itoa(i)}
}

// proxy stands between a node and Redis and spoils what it is told to.
type proxy struct {
	t      testing.TB
	to     string
	listen net.Listener
	work   sync.WaitGroup

	mu      sync.Mutex // guards the following
	pairs   map[*pair]struct{}
	closed  bool
	mute    bool          // nothing more goes to Redis on subscribing connections
	deaf    bool          // new subscribing connections bring nothing
	ahead   time.Duration // how far Redis's clock is
	holding chan struct{} // while open, nothing goes to Redis
}

type pair struct {
	client, server net.Conn
	subscribes     bool
	deaf           bool
}

func startProxy(t testing.TB, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, to: to, listen: l, pairs: map[*pair]struct{}{}}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		l.Close()
		p.resume()
		p.cut()
		p.work.Wait()
	})
	return p
}

func (p *proxy) url() string { return "redis://" + p.listen.Addr().String() }

func (p *proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.to)
		if err != nil {
			client.Close()
			continue
		}
		c := &pair{client: client, server: server}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			client.Close()
			server.Close()
			return
		}
		p.pairs[c] = struct{}{}
		p.mu.Unlock()
		p.work.Go(func() { p.copy(server, client, c, p.onward) })
		p.work.Go(func() { p.copy(client, server, c, p.back) })
	}
}

func (p *proxy) copy(to io.Writer, from io.Reader, c *pair, pass func(c *pair, b []byte) []byte) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if out := pass(c, buf[:n]); len(out) > 0 {
				to.Write(out)
			}
		}
		if err != nil {
			c.client.Close()
			c.server.Close()
			p.mu.Lock()
			delete(p.pairs, c)
			p.mu.Unlock()
			return
		}
	}
}

func (p *proxy) onward(c *pair, b []byte) []byte {
	p.mu.Lock()
	if bytes.Contains(b, []byte("SUBSCRIBE")) && !c.subscribes {
		c.subscribes, c.deaf = true, p.deaf
	}
	holding, mute := p.holding, p.mute && c.subscribes
	p.mu.Unlock()
	if mute {
		return nil
	}
	if holding != nil {
		<-holding
	}
	return b
}

var timeAnswer = regexp.MustCompile(`\*2\r\n\$10\r\n([0-9]{10})\r\n`)

func (p *proxy) back(c *pair, b []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.deaf {
		return nil
	}
	if p.ahead == 0 {
		return b
	}
	return timeAnswer.ReplaceAllFunc(b, func(m []byte) []byte {
		seconds, _ := strconv.ParseInt(string(m[9:19]), 10, 64)
		return append(strconv.AppendInt([]byte("*2\r\n$10\r\n"), seconds+int64(p.ahead/time.Second), 10), "\r\n"...)
	})
}

// deafen makes the subscribing connections bring nothing from now: those that there are, and with next those to come.
func (p *proxy) deafen(now, next bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.deaf = now && c.subscribes
	}
	p.deaf = next
}

// hold keeps back what goes to Redis until resume.
func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holding = make(chan struct{})
}

func (p *proxy) resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holding != nil {
		close(p.holding)
		p.holding = nil
	}
}

// cut closes every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.client.Close()
		c.server.Close()
	}
}
