package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/internal/rig"
)

// draining sends a node SIGTERM and tells when it has ended, which is an error unless it is with 0.
func draining(n *rig.Node) <-chan error {
	drained := make(chan error, 1)
	go func() { drained <- n.Drain() }()
	return drained
}

func TestDrain_ANodeTurnsUnreadyTellsMovesClosesAndEndsInTime(t *testing.T) {
	c := cluster(t)
	n := c.Node(1)
	s := on(t, n)
	name := shared.name()
	s.createSession(name, "")
	older, _ := s.dial(t, name, frame{"protocol": 1})
	deaf, _ := s.dial(t, name, frame{"clientId": "deaf"}) // to what it is told
	stuck, _ := s.dial(t, name, nil)                      // it reads nothing, and never answers a close
	_ = stuck

	began := time.Now()
	drained := draining(n)
	wait(t, patience, "the node to be unready", func() bool {
		ready, body, err := n.Ready(t.Context())
		return err == nil && !ready && strings.Contains(body, "draining")
	})
	// Until a balancer has seen that, it serves who comes.
	late, _ := s.dial(t, name, nil)

	older.send(frame{"type": "publish", "topic": "x", "messageId": "m1", "data": "d"})
	older.until("publish_response")
	older.until("ack_received")
	if code := older.closed(); code != 1012 {
		t.Errorf("version 1: closed with %d, want 1012", code)
	}
	for who, d := range map[string]*device{"version 2": deaf, "version 2, late": late} {
		if f := d.until("reconnect"); f["afterMs"] == nil || f["reason"] == "" {
			t.Errorf("%s: %v", who, f)
		}
		if code := d.closed(); code != 1012 {
			t.Errorf("%s, did not move: closed with %d, want 1012", who, code)
		}
	}
	if took := time.Since(began); took > drainTimeout {
		t.Errorf("the last close came after %v, want it before %v", took, drainTimeout)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	// The process's own end, and this one's look at it, take their time where the machine is busy.
	if took := time.Since(began); took > drainTimeout+5*time.Second {
		t.Errorf("ended after %v, want %v", took, drainTimeout)
	}
}

func TestDrain_ASecondSignalHurries(t *testing.T) {
	c := cluster(t)
	n := c.Node(1)
	s := on(t, n)
	name := shared.name()
	s.createSession(name, "")
	d, _ := s.dial(t, name, frame{"clientId": "deaf"})
	began, drained := time.Now(), draining(n)
	d.until("reconnect")
	if err := syscall.Kill(n.PID(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if code := d.closed(); code != 1012 {
		t.Errorf("closed with %d, want 1012", code)
	}
	if took := time.Since(began); took > drainTimeout-time.Second {
		t.Errorf("ended after %v, which is no hurry", took)
	}
}

// tally is what one subscriber got: of each publisher every number, once, in order.
type tally struct {
	mu   sync.Mutex // guards the following
	last map[string]int
	bad  []string
}

func (y *tally) take(_ context.Context, m client.Message) error {
	from, text, _ := strings.Cut(string(m.Payload), " ")
	n, _ := strconv.Atoi(text)
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.last == nil {
		y.last = make(map[string]int)
	}
	if n != y.last[from]+1 {
		y.bad = append(y.bad, fmt.Sprintf("%d of %s after %d (seq %d, retry %d, replay %v)", n, from, y.last[from], m.Seq, m.Retry, m.Replay))
	}
	y.last[from] = n
	return nil
}

func (y *tally) upTo(from string) int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.last[from]
}

// pausing is a file's content that stops now and then for something to happen.
type pausing struct {
	*bytes.Reader
	at   []int64 // where, in order
	then func(i int)
	done int
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.done < len(p.at) && p.Size()-int64(p.Len()) >= p.at[p.done] {
		p.done++
		p.then(p.done - 1)
	}
	return p.Reader.Read(b)
}

// ReadAt hides that of bytes.Reader, and with Seek the second reading: the pauses are to be in the one that is sent.
func (p *pausing) ReadAt() {}
func (p *pausing) Seek()   {}

// TestDrain_AFileGoesOnWhileEveryNodeIsReplaced has a sender and receivers who are moved on the way, one after another.
func TestDrain_AFileGoesOnWhileEveryNodeIsReplaced(t *testing.T) {
	c := cluster(t)
	session, key := shared.name(), e2ee.NewKey()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if _, err := client.CreateSession(ctx, c.Node(0).URL(), client.SessionSpec{SessionName: session, Password: "secure_pass_123", Key: key}); err != nil {
		t.Fatal(err)
	}
	connect := func(name string, change func(*client.Options)) *client.Client {
		o := client.Options{
			SessionName: session, Password: "secure_pass_123", AESKey: key.Base64(),
			OnError: func(err error) { t.Logf("%s: %v", name, err) },
		}
		for _, n := range c.Nodes {
			o.URLs = append(o.URLs, "ws"+strings.TrimPrefix(n.URL(), "http")+"/ws")
		}
		change(&o)
		d, err := client.Connect(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cancel(); d.Close(ctx) })
		return d
	}
	content := make([]byte, 24<<20)
	rand.NewChaCha8([32]byte{}).Read(content)
	ended := make(chan error, 2)
	dirs := map[string]func(*client.Options){
		t.TempDir(): func(o *client.Options) { o.ClientID = "desk" }, t.TempDir(): func(*client.Options) {},
	}
	for dir, change := range dirs {
		options := client.DirOptions{ReceiveOptions: client.ReceiveOptions{Done: func(_ client.FileOffer, err error) { ended <- err }}}
		if err := connect("receiver", change).ReceiveToDir(ctx, "files", dir, options); err != nil {
			t.Fatal(err)
		}
	}
	source := &pausing{Reader: bytes.NewReader(content), at: []int64{8 << 20, 16 << 20}, then: func(i int) {
		if err := c.Node(i).Drain(); err != nil {
			t.Error(err)
		}
		up(t, c.Node(i))
	}}
	sender := connect("sender", func(o *client.Options) { o.ClientID = "camera" })
	sending, enough := context.WithCancel(ctx)
	sent := make(chan error, 1)
	go func() {
		sent <- sender.SendFile(sending, "files", "film", int64(len(content)), source, client.FileOptions{})
	}()
	for range dirs {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	// The sender is told only when the node that took the file over knows that no other receiver comes back.
	enough()
	if err := <-sent; err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the sender was told: %v", err)
	}
	for dir := range dirs {
		if got, err := os.ReadFile(filepath.Join(dir, "film")); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes arrived, %v", len(got), err)
		}
	}
}

// TestDrain_OfEveryNodeInTurnIsNoticedByNobody is a rolling restart of real processes over real Redis and Postgres.
func TestDrain_OfEveryNodeInTurnIsNoticedByNobody(t *testing.T) {
	c := cluster(t)
	urls := []string{c.Node(0).URL(), c.Node(1).URL()}
	session, key := shared.name(), e2ee.NewKey()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if _, err := client.CreateSession(ctx, urls[0], client.SessionSpec{SessionName: session, Password: "secure_pass_123", Key: key}); err != nil {
		t.Fatal(err)
	}
	var moves atomic.Int64
	connect := func(name string, change func(*client.Options)) *client.Client {
		o := client.Options{
			SessionName: session, Password: "secure_pass_123", AESKey: key.Base64(),
			OnMove:  func() { moves.Add(1) },
			OnError: func(err error) { t.Logf("%s: %v", name, err) },
			OnState: func(up bool) {
				if !up && ctx.Err() == nil {
					t.Errorf("%s lost its connection", name)
				}
			},
		}
		for _, u := range urls {
			o.URLs = append(o.URLs, "ws"+strings.TrimPrefix(u, "http")+"/ws")
		}
		change(&o)
		d, err := client.Connect(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cancel(); d.Close(ctx) })
		return d
	}
	tallies := make(map[string]*tally)
	for name, change := range map[string]func(*client.Options){
		"durable": func(o *client.Options) { o.ClientID = "phone" }, "ephemeral": func(*client.Options) {},
		"user": func(o *client.Options) { o.UserID = "ann" }, "the user's other": func(o *client.Options) { o.UserID = "ann" },
	} {
		tallies[name] = new(tally)
		if err := connect(name, change).Subscribe(ctx, "t", tallies[name].take); err != nil {
			t.Fatal(err)
		}
	}

	// Tools as people run them.
	env := append(cleanEnv(), "FASTPORT_URL="+strings.Join(urls, ","), "FASTPORT_KEY="+key.Base64(), "FASTPORT_PASSWORD=secure_pass_123")
	tool := func(args ...string) (*exec.Cmd, *lockedBuffer, *lockedBuffer) {
		cmd, out, told := exec.CommandContext(ctx, binary, args...), new(lockedBuffer), new(lockedBuffer)
		cmd.Env, cmd.Stdout, cmd.Stderr, cmd.Dir = env, out, told, t.TempDir()
		return cmd, out, told
	}
	sub, printed, subTold := tool("sub", session, "t", "--client-id", "printer")
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, patience, "the tool to subscribe", func() bool { return strings.Contains(subTold.String(), "waiting") })
	pub, _, pubTold := tool("pub", session, "t")
	lines, err := pub.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.Start(); err != nil {
		t.Fatal(err)
	}

	stop := make(chan struct{})
	var publishing sync.WaitGroup
	sent := make([]int, 3)
	for i, w := range []*client.Client{connect("writer", func(*client.Options) {}), connect("durable writer", func(o *client.Options) { o.ClientID = "sensor" })} {
		publishing.Go(func() {
			for sent[i] = 1; ; sent[i]++ {
				if err := w.Publish(ctx, "t", fmt.Appendf(nil, "w%d %d", i, sent[i])); err != nil {
					t.Errorf("publish %d of writer %d: %v", sent[i], i, err)
					return
				}
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}
	publishing.Go(func() {
		defer lines.Close()
		for sent[2] = 1; ; sent[2]++ {
			if _, err := fmt.Fprintf(lines, "w2 %d\n", sent[2]); err != nil {
				t.Errorf("the tool took no line %d: %v", sent[2], err)
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})

	for _, n := range c.Nodes {
		began := time.Now()
		if err := n.Drain(); err != nil {
			t.Error(err)
		}
		t.Logf("%s drained within %v", n.Name(), time.Since(began))
		up(t, n)
	}
	close(stop)
	publishing.Wait()
	if err := pub.Wait(); err != nil {
		t.Errorf("pub: %v\n%s", err, pubTold)
	}
	for name, y := range tallies {
		for i, n := range sent {
			from := fmt.Sprint("w", i)
			wait(t, patience, fmt.Sprintf("%s to get %d of %s", name, n, from), func() bool { return y.upTo(from) >= n })
		}
		y.mu.Lock()
		for _, bad := range y.bad[:min(3, len(y.bad))] {
			t.Errorf("%s got %s", name, bad)
		}
		y.mu.Unlock()
	}
	wait(t, patience, "the tool to print all", func() bool { return strings.Count(printed.String(), "\n") >= sent[0]+sent[1]+sent[2] })
	sub.Process.Signal(syscall.SIGINT)
	if err := sub.Wait(); err != nil {
		t.Errorf("sub: %v\n%s", err, subTold)
	}
	for _, told := range []*lockedBuffer{subTold, pubTold} {
		if s := told.String(); strings.Contains(s, "lost") || !strings.Contains(s, "moved") {
			t.Errorf("a tool told of more than its moves:\n%s", s)
		}
	}
	var printer tally
	for line := range strings.Lines(printed.String()) {
		printer.take(ctx, client.Message{Payload: []byte(strings.TrimSpace(line))})
	}
	if len(printer.bad) > 0 {
		t.Errorf("printed %s", printer.bad[0])
	}
	t.Logf("%v published, %d moves", sent, moves.Load())
}
