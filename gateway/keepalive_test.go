package gateway

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

func TestKeepalive_PingsAndDropsWhoIsSilent(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.PingInterval, cfg.PongTimeout = 50*time.Millisecond, 100*time.Millisecond
		r := start(t, cfg, nil)
		silent := r.dial()
		silentPeer := r.peer()
		talker := r.dial()
		r.peer()
		answering := r.dial()
		answeringPeer := r.peer()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		defer wg.Wait()
		defer close(stop)
		wg.Go(func() { // answers every ping
			for {
				h, id, err := answering.read()
				if err != nil {
					return
				}
				if h.OpCode == ws.OpPing {
					answering.conn.Write(frame(0x8a, id))
				}
			}
		})
		wg.Go(func() { // answers none, but is heard
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
					talker.conn.Write(frame(0x81, "I am here"))
				}
			}
		})
		silent.expectClose(protocol.CloseGoingAway)
		silentPeer.waitClosed()
		for range 4 {
			select {
			case <-answeringPeer.alive:
			case <-time.After(patience):
				t.Fatal("no sign of life was reported")
			}
		}
		if st := r.srv.Stats(); st.Closed["no_pong"] != 1 || st.Connections > 3 || st.Connections < 2 {
			t.Fatalf("stats = %+v", st)
		}
		answering.conn.Close()
	})
}

func TestKeepalive_SpreadsPingsOverTheInterval(t *testing.T) {
	cfg := (Config{}).withDefaults()
	turns := int(cfg.PingInterval / tickTime(&cfg))
	if turns != 25 {
		t.Fatalf("turns = %d, want 25 of a second", turns)
	}
	r := newRoster(1, turns)
	conns := make([]conn, 5000)
	for i := range conns {
		conns[i].shard = r[0]
		r[0].add(&conns[i])
	}
	for i, turn := range r[0].turns {
		if n := len(turn); n < 100 || n > 320 {
			t.Fatalf("turn %d pings %d of 5000", i, n)
		}
	}
	for i := range conns {
		if i%2 == 0 {
			r[0].remove(&conns[i])
		}
	}
	seen := map[*conn]int{}
	for range turns {
		for _, c := range r[0].due(nil) {
			seen[c]++
		}
	}
	if len(seen) != 2500 {
		t.Fatalf("pinged %d of 2500", len(seen))
	}
	for i := range conns {
		if want := i % 2; seen[&conns[i]] != want {
			t.Fatalf("connection %d was pinged %d times, want %d", i, seen[&conns[i]], want)
		}
	}
}

func TestKeepalive_ClosesWhoDoesNotLogIn(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.InitTimeout = 50 * time.Millisecond
		r := start(t, cfg, func(p *peer) {
			p.ready.Store(false)
			p.text = func(p *peer, _ []byte) bool { p.ready.Store(true); return false }
		})
		in := r.dial()
		in.send("login")
		inPeer := r.peer()
		out := r.dial()
		out.expectClose(protocol.CloseNoInit)
		r.peer().waitClosed()
		select {
		case <-inPeer.closed:
			t.Fatal("a connection that logged in was closed")
		default:
		}
		eventually(t, "nobody is pending", func() bool { return r.srv.Stats().Pending == 0 })
		if got := r.srv.Stats().Closed["no_init"]; got != 1 {
			t.Fatalf("closed for no init = %d, want 1", got)
		}
	})
}

func TestKeepalive_ClosesHalfFramesThatMakeNoProgress(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.FrameTimeout, cfg.FrameRate = 100*time.Millisecond, 1000
		got := make(chan struct{})
		r := start(t, cfg, func(p *peer) {
			p.binary = func(_ *peer, frame []byte) bool {
				if len(frame) == 3000 {
					close(got)
				}
				return false
			}
		})
		for name, start := range map[string][]byte{
			"a header":         {0x81},
			"a length":         {0x82, 0x80 | 127, 0, 0},
			"a payload":        frame(0x82, "whole")[:8],
			"a fragment":       frame(0x01, "more to come"),
			"a ping":           frame(0x89, "ping")[:7],
			"a second message": join(frame(0x82, "first"), frame(0x82, "second")[:9]),
		} {
			t.Run(name, func(t *testing.T) {
				c := r.dial()
				c.t = t
				c.write(start)
				c.expectClose(protocol.CloseBadFrame)
			})
		}
		// A large message at a good pace takes longer than the timeout, and may.
		c := r.dial()
		p := r.opened(7)[6]
		all := frame(0x82, repeat("x", 3000))
		for piece := range slices.Chunk(all, 100) { // 300 ms
			c.write(piece)
			time.Sleep(10 * time.Millisecond) // the pace, not a wait
		}
		select {
		case <-got:
		case <-p.closed:
			t.Fatal("a message that makes progress was cut off")
		}
	})
}

// Every write ends in the middle of a message, and none of the messages takes long.
func TestKeepalive_AMessageStraddlingEveryReadIsNotHalf(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.FrameTimeout, cfg.FrameRate = 2*time.Second, 1<<30
		r := start(t, cfg, nil)
		c := r.dial()
		f := frame(0x82, "message")
		c.write(f[:5])
		for began := time.Now(); time.Since(began) < 3*time.Second; {
			c.write(append(slices.Clone(f[5:]), f[:5]...))
			time.Sleep(10 * time.Millisecond) // the sender's pace
		}
		c.write(append(slices.Clone(f[5:]), frame(0x88, "\x03\xe8")...))
		c.expectClose(protocol.CloseNormal)
	})
}

// 500 clients trickle half frames, byte by byte, and 50 read nothing: those who behave are served as if alone.
func TestKeepalive_HalfFramesAndStuckReadersDelayNobody(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, echoes)
		whole := frame(0x81, repeat("x", 100_000))
		var slow []*client
		for range 500 {
			slow = append(slow, r.dial())
		}
		big := packet(true, repeat("b", 1<<20))
		for range 50 {
			r.dial()
		}
		for _, p := range r.opened(550)[500:] {
			for p.sock.Send(session.LaneMessage, big) {
			}
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 0; ; i++ {
				for _, c := range slow {
					select {
					case <-stop:
						return
					default:
						c.conn.Write(whole[i : i+1])
					}
				}
			}
		})
		c := r.dial()
		var took []time.Duration
		for i := range 300 {
			began := time.Now()
			want := fmt.Sprint("served ", i)
			c.send(want)
			c.expect(want)
			took = append(took, time.Since(began))
		}
		close(stop)
		wg.Wait()
		slices.Sort(took)
		if p95 := took[len(took)*95/100]; p95 > 100*time.Millisecond {
			t.Fatalf("p95 = %v beside the others", p95)
		}
		t.Logf("p50 = %v, p95 = %v", took[len(took)/2], took[len(took)*95/100])
	})
}

func TestKeepalive_ClosesSlowConsumersAndServesTheOthers(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.SlowConsumerAfter, cfg.OutboxBytes, cfg.CloseLinger = 300*time.Millisecond, 1<<20, 300*time.Millisecond
		cfg.PingInterval, cfg.PongTimeout = 50*time.Millisecond, 100*time.Millisecond // its deadline must not come first
		r := start(t, cfg, nil)
		stuck := r.dial()
		stuckPeer := r.peer()
		good := r.dial()
		goodPeer := r.peer()
		big := packet(true, repeat("m", 64<<10))
		for stuckPeer.sock.Send(session.LaneMessage, big) {
		}
		if queued := r.srv.Stats().OutboxBytes; queued > 1<<20+100<<10 {
			t.Fatalf("%d bytes are queued over a bound of 1 MiB", queued)
		}
		if !stuckPeer.sock.Send(session.LaneControl, packet(false, "control has room of its own")) {
			t.Fatal("a full lane of messages refused a response")
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		goodDone := make(chan struct{})
		wg.Go(func() {
			defer close(goodDone)
			for i := 0; i < 20; {
				h, id, err := good.read()
				if err != nil {
					t.Error(err)
					return
				}
				if h.OpCode == ws.OpPing {
					good.conn.Write(frame(0x8a, id))
				} else {
					i++
				}
			}
		})
		began := time.Now()
		for i := 0; i < 20; i++ {
			goodPeer.sock.Send(session.LaneMessage, big)
			select {
			case <-stuckPeer.closed:
			case <-time.After(20 * time.Millisecond):
			}
		}
		stuckPeer.waitClosed()
		if took := time.Since(began); took < 250*time.Millisecond {
			t.Fatalf("closed after %v, want 300 ms: %v", took, r.srv.Stats().Closed)
		}
		<-goodDone
		if st := r.srv.Stats(); st.Closed["slow_consumer"] != 1 {
			t.Fatalf("closed = %v", st.Closed)
		}
		stuck.conn.Close()
		good.conn.Close()
	})
}

// What the kernel holds for a slow consumer goes with its connection: a socket that is only closed keeps it for minutes.
func TestKeepalive_ASlowConsumersConnectionIsReset(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.SlowConsumerAfter, cfg.OutboxBytes, cfg.CloseLinger = 500*time.Millisecond, 1<<20, 500*time.Millisecond
		r := start(t, cfg, nil)
		c, p := r.dial(), r.peer()
		big := packet(true, repeat("m", 64<<10))
		for p.sock.Send(session.LaneMessage, big) {
		}
		p.waitClosed()
		eventually(t, "the socket is closed", func() bool { return r.srv.Stats().Connections == 0 })
		if _, err := io.Copy(io.Discard, c.conn); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("reading on ended with %v, want a reset", err)
		}
	})
}

// A slow consumer that wakes up in the linger time still learns why it was closed.
func TestKeepalive_SlowConsumerLearns4008(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.SlowConsumerAfter, cfg.OutboxBytes = 100*time.Millisecond, 1<<20
		r := start(t, cfg, nil)
		c := r.dial()
		p := r.peer()
		for i := 0; p.sock.Send(session.LaneMessage, packet(true, fmt.Sprintf("%065536d", i))); i++ {
		}
		p.waitClosed()
		c.expectClose(protocol.CloseSlowConsumer)
	})
}

func TestKeepalive_AReaderThatTakesALittleIsNotSlow(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.SlowConsumerAfter, cfg.OutboxBytes = 150*time.Millisecond, 256<<10
		r := start(t, cfg, nil)
		c := r.dial()
		p := r.peer()
		chunk := packet(true, repeat("m", 64<<10))
		until := time.Now().Add(600 * time.Millisecond)
		buf := make([]byte, 512<<10)
		for time.Now().Before(until) {
			for p.sock.Send(session.LaneMessage, chunk) {
			}
			c.conn.Read(buf)
			time.Sleep(2 * time.Millisecond) // the reader's pace
		}
		select {
		case <-p.closed:
			t.Fatal("closed though it makes progress")
		default:
		}
	})
}
