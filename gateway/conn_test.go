package gateway

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
)

func TestConn_AnswersPingsButNotEachOfAFlood(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, echoes)
		c := r.dial()
		c.write(frame(0x89, "are you there"))
		if h, got, err := c.read(); err != nil || h.OpCode != ws.OpPong || got != "are you there" {
			t.Fatalf("read = %v %q %v, want the pong", h.OpCode, got, err)
		}
		var flood []byte
		for i := range 100_000 {
			flood = append(flood, frame(0x89, fmt.Sprintf("%08d", i))...)
		}
		go c.conn.Write(append(flood, frame(0x81, "end")...))
		last, end := "", false
		for !end || last != "00099999" {
			h, got, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			if h.OpCode == ws.OpPong {
				last = got
			}
			end = end || got == "end"
			if n := r.srv.Stats().OutboxBytes; n > 1000 {
				t.Fatalf("%d bytes of pongs are queued", n)
			}
		}
	})
}

func TestConn_PingReportsWhenThePongCame(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, echoes)
		c := r.dial()
		p := r.peer()
		from := time.Now()
		p.sock.Ping()
		until := time.Now()
		p.sock.Ping() // goes out when the first is answered
		_, id, err := c.read()
		if err != nil || len(id) != 8 {
			t.Fatalf("ping = %x %v", id, err)
		}
		c.write(join(frame(0x8a, "12345678"), frame(0x8a, ""), frame(0x81, "these answer no ping of ours")))
		c.expect("these answer no ping of ours")
		if len(p.alive) != 0 {
			t.Fatal("a pong that answers nothing was reported")
		}
		c.write(frame(0x8a, id))
		c.write(frame(0x8a, id)) // and that one only once
		if at := <-p.alive; at.Before(from) || at.After(until) {
			t.Fatalf("alive = %v, want within %v and %v", at, from, until)
		}
		_, second, err := c.read()
		if err != nil || second == id {
			t.Fatalf("second ping = %x, %v; first %x", second, err, id)
		}
		c.write(frame(0x8a, second))
		if at := <-p.alive; at.Before(until) {
			t.Fatal("the second pong was taken for the first")
		}
		if len(p.alive) != 0 {
			t.Fatal("a pong that answers nothing was reported")
		}
	})
}

func TestConn_PausesUntilResume(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		got := make(chan string, 100)
		r := start(t, cfg, func(p *peer) {
			p.text = func(_ *peer, frame []byte) bool { got <- string(frame); return string(frame) == "wait" }
		})
		c := r.dial()
		p := r.peer()
		c.write(join(frame(0x81, "wait"), frame(0x81, "wait"), frame(0x81, "a")))
		if f := <-got; f != "wait" {
			t.Fatal(f)
		}
		c.send("b") // comes while reading is paused
		// The kernel has it, and so the loop has had its chance: a second connection proves it.
		other := r.dial()
		other.send("other")
		if f := <-got; f != "other" {
			t.Fatalf("%q came before Resume", f)
		}
		p.sock.Resume()
		if f := <-got; f != "wait" {
			t.Fatal(f)
		}
		p.sock.Resume()
		for _, want := range []string{"a", "b"} {
			if f := <-got; f != want {
				t.Fatalf("got %q, want %q", f, want)
			}
		}
	})
}

func TestConn_ResumeMayComeBeforeTheWait(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		const frames = 5000
		done := make(chan int, 1)
		n := 0
		r := start(t, cfg, func(p *peer) {
			p.text = func(p *peer, _ []byte) bool {
				if n++; n == frames {
					done <- n
				}
				switch n % 3 {
				case 0:
					p.sock.Resume()
				case 1:
					go p.sock.Resume()
				default:
					return false
				}
				return true
			}
		})
		c := r.dial()
		var all []byte
		for range frames {
			all = append(all, frame(0x81, "x")...)
		}
		c.write(all)
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatalf("reading stopped after %d frames", n)
		}
	})
}

func TestConn_PausedReadingHoldsNoMoreThanABuffer(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		// Long enough that "x" is there in time on a busy machine: who is closed before it, is not paused, and what it sends is discarded.
		const silence = 300 * time.Millisecond
		cfg.PingInterval, cfg.PongTimeout, cfg.InitTimeout = silence, silence, silence
		r := start(t, cfg, func(p *peer) {
			p.ready.Store(false) // a login that takes long
			p.text = func(*peer, []byte) bool { return true }
		})
		c := r.dial()
		p := r.peer()
		c.send("x")
		c.conn.SetWriteDeadline(time.Now().Add(4 * silence))
		n, err := c.conn.Write(make([]byte, 64<<20))
		if err == nil {
			t.Fatal("64 MiB were taken from a paused connection")
		}
		if in := r.srv.Stats().BytesIn; in > 2*pooledBuffer {
			t.Fatalf("read %d of %d bytes while paused", in, n)
		}
		select {
		case <-p.closed:
			t.Fatal("closed for a silence that the engine ordered")
		default:
		}
	})
}

func TestConn_RestComesOnceBehindTheFramesOfARead(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		events := make(chan string, 100)
		r := start(t, cfg, func(p *peer) {
			p.text = func(p *peer, frame []byte) bool { events <- string(frame); return string(frame) == "wait" }
			p.rest = func(*peer) { events <- "rest" }
		})
		c := r.dial()
		p := r.peer()
		c.write(join(frame(0x81, "a"), frame(0x81, "b"), frame(0x81, "wait"), frame(0x81, "c")))
		expect := func(want ...string) {
			t.Helper()
			for _, w := range want {
				select {
				case got := <-events:
					if got != w {
						t.Fatalf("%q came, want %q", got, w)
					}
				case <-time.After(patience):
					t.Fatalf("nothing came, want %q", w)
				}
			}
		}
		expect("a", "b", "wait", "rest")
		p.sock.Resume()
		expect("c", "rest")
		c.write(frame(0x81, "d")[:3]) // half a frame: what came before it must not wait for the rest
		expect("rest")
	})
}

func TestConn_PanicEndsThatConnectionAlone(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, func(p *peer) {
			p.text = func(p *peer, frame []byte) bool {
				if string(frame) == "panic" {
					panic("on demand")
				}
				return echo(p, frame)
			}
		})
		other := r.dial()
		r.peer()
		c := r.dial()
		p := r.peer()
		c.send("panic")
		c.expectClose(closeInternal)
		p.waitClosed()
		other.send("still here")
		other.expect("still here")
		if got := r.srv.Stats().Closed["panic"]; got != 1 {
			t.Fatalf("panics = %d, want 1", got)
		}
	})
}

func TestConn_PanicInOpenOrSentEndsThatConnectionAlone(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		var opened atomic.Int32
		r := start(t, cfg, func(p *peer) {
			p.text = echo
			if opened.Add(1) == 1 {
				close(p.closed) // it never becomes a peer
				panic("on demand")
			}
		})
		r.dial().expectClose(closeInternal)
		c := r.dial()
		r.peer().sock.SendChunk(packet(true, "x"), func() { panic("on demand") })
		if _, got, err := c.read(); err != nil || got != "x" {
			t.Fatal(got, err)
		}
		c.expectClose(closeInternal)
		c = r.dial()
		c.send("still here")
		c.expect("still here")
	})
}

func TestConn_TakesFramesThatComeWithTheHandshake(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, echoes)
		c := r.rawDial()
		c.write(join([]byte("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"), frame(0x81, "early"), frame(0x81, "bird")))
		if head := c.head(); head["sec-websocket-accept"] != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
			t.Fatalf("head = %v", head)
		}
		c.expect("early")
		c.expect("bird")
	})
}

func TestConn_CallsSentOnceTheKernelHasTheChunkOrTheSocketIsGone(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.CloseLinger = 100 * time.Millisecond
		r := start(t, cfg, nil)
		r.dial() // reads nothing: kernel buffers fill, then the outbox does
		p := r.peer()
		var calls [10_000]atomic.Int32
		queued := 0
		chunk := packet(true, repeat("c", protocol.ChunkSize))
		for i := range calls {
			if !p.sock.SendChunk(chunk, func() { calls[i].Add(1) }) {
				break
			}
			queued++
		}
		if queued == len(calls) {
			t.Fatal("the outbox has no end")
		}
		eventually(t, "the kernel took the first", func() bool { return calls[0].Load() == 1 })
		if n := calls[queued-1].Load(); n != 0 {
			t.Fatalf("callback %d came %d times though nobody reads", queued-1, n)
		}
		p.sock.Close(protocol.CloseSessionGone, "")
		for i := range queued {
			eventually(t, "the callback came", func() bool { return calls[i].Load() > 0 })
		}
		eventually(t, "the socket is gone", func() bool { return r.srv.Stats().Connections == 0 })
		for i := range calls {
			if n := calls[i].Load(); n > 1 || i >= queued && n > 0 {
				t.Fatalf("callback %d of %d came %d times", i, queued, n)
			}
		}
	})
}

func TestConn_LimitsMessagesBeforeLogin(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.LoginPayload = 1000
		r := start(t, cfg, func(p *peer) {
			p.ready.Store(false)
			p.text = func(p *peer, frame []byte) bool {
				p.ready.Store(true)
				return echo(p, frame)
			}
		})
		c := r.dial()
		c.write(join(frame(0x81, "login"), frame(0x81, repeat("x", 5000))))
		c.expect("login")
		c.expect(repeat("x", 5000))
		c = r.dial()
		c.send(repeat("x", 1001))
		c.expectClose(protocol.CloseTooLarge)
	})
}

func TestConn_LimitsFramesAndBytesASecond(t *testing.T) {
	empty, pings, pongs := join(), join(), join()
	for range 200 {
		empty = append(empty, frame(0x81, "")...)
		pings = append(pings, frame(0x89, "")...)
		pongs = append(pongs, frame(0x8a, "")...)
	}
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.MessageRate, cfg.ByteRate, cfg.MaxPayload = 100, 20_000, 10_000
		r := start(t, cfg, nil)
		for name, stream := range map[string][]byte{
			"empty frames": empty,
			"pings":        pings,
			"pongs":        pongs,
			"fragments":    fragments(150),
			"bytes":        join(frame(0x82, repeat("x", 9000)), frame(0x82, repeat("x", 9000)), frame(0x82, repeat("x", 9000))),
		} {
			t.Run(name, func(t *testing.T) {
				c := r.dial()
				c.t = t
				c.write(stream)
				c.expectClose(protocol.CloseRateLimited)
			})
		}
		c := r.dial()
		c.write(frame(0x82, repeat("x", 10_000))) // one largest message is always allowed
		c.write(frame(0x88, "\x03\xe8"))
		c.expectClose(1000)
	})
}

func TestConn_ManyAtOnce(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, echoes)
		var wg sync.WaitGroup
		for i := range 50 {
			c := r.dial()
			wg.Go(func() {
				for j := range 50 {
					var size [4]byte
					binary.BigEndian.PutUint32(size[:], uint32(i*j))
					want := fmt.Sprintf("%x %s", size, repeat("y", i*j*7))
					if _, err := c.conn.Write(frame(0x81, want)); err != nil {
						t.Error(err)
						return
					}
					if _, got, err := c.read(); err != nil || got != want {
						t.Errorf("conn %d frame %d: %v, %d bytes, want %d", i, j, err, len(got), len(want))
						return
					}
				}
			})
		}
		wg.Wait()
		eventually(t, "all is counted", func() bool { // a frame is, once its write has returned
			st := r.srv.Stats()
			return st.FramesIn == 2500 && st.FramesOut == 2500 && st.Connections == 50 && st.Pending == 0
		})
	})
}
