package gateway

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

// stuff fills the outbox of a peer whose client does not read, until the kernel takes no more of it.
func (r *rig) stuff(p *peer, l session.Lane) {
	r.t.Helper()
	filler := packet(true, repeat("f", 64<<10))
	taken, since := uint64(0), time.Now()
	eventually(r.t, "the kernel takes no more", func() bool {
		for p.sock.Send(l, filler) {
		}
		if now := r.srv.Stats().BytesOut; now != taken {
			taken, since = now, time.Now()
		}
		return time.Since(since) > 50*time.Millisecond
	})
}

func TestOutbox_LanesInOrder(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, nil)
		c := r.dial()
		p := r.peer()
		r.stuff(p, session.LaneFile) // so that what follows is queued together
		p.sock.Send(session.LaneMessage, packet(false, "message 1"))
		p.sock.Send(session.LaneAck, packet(false, "ack 1"))
		p.sock.Send(session.LaneMessage, packet(false, "message 2"))
		p.sock.Send(session.LaneControl, packet(false, "control 1"))
		p.sock.Send(session.LaneAck, packet(false, "ack 2"))
		p.sock.Send(session.LaneControl, packet(false, "control 2"))
		var got []string
		files := 0
		for len(got) < 6 {
			h, payload, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			if h.OpCode == ws.OpText {
				got = append(got, payload)
			} else if files++; len(got) > 0 {
				t.Fatalf("a file chunk came after %q only", got)
			}
		}
		want := []string{"control 1", "control 2", "ack 1", "ack 2", "message 1", "message 2"}
		if !slices.Equal(got, want) {
			t.Fatalf("order = %q, want %q", got, want)
		}
	})
}

func TestOutbox_SharedPacketIsFramedOnceAndTheSameForAll(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		const receivers = 1000
		r := start(t, cfg, nil)
		clients := make([]*client, receivers)
		for i := range clients {
			clients[i] = r.dial()
		}
		for _, size := range []int{3, 200, 20_000, 80_000} {
			p := packet(false, repeat("s", size))
			var wg sync.WaitGroup
			for _, part := range slices.Collect(slices.Chunk(r.opened(receivers), receivers/4)) {
				wg.Go(func() {
					for _, peer := range part {
						if !peer.sock.Send(session.LaneMessage, p) {
							t.Error("refused")
						}
					}
				})
			}
			wg.Wait()
			if !bytes.Equal(p.Transport.Wire, append(slices.Clone(p.Transport.Wire[:len(p.Transport.Wire)-size]), repeat("s", size)...)) {
				t.Fatal("the shared bytes were written to")
			}
			for _, c := range clients {
				got := make([]byte, len(p.Transport.Wire))
				if first, err := c.br.Peek(1); err == nil && first[0] == 0x89 {
					c.br.Discard(2 + 8) // the hour's ping
				}
				if _, err := readFull(c, got); err != nil || !bytes.Equal(got, p.Transport.Wire) {
					t.Fatalf("%v: got %x…, want %x…", err, got[:8], p.Transport.Wire[:8])
				}
			}
		}
	})
}

func readFull(c *client, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = c.br.Read(b[n:])
		n += m
	}
	return n, err
}

func TestOutbox_BatchesHoldWhatFitsInOrder(t *testing.T) {
	var o outbox
	b := newBatch()
	var want, got bytes.Buffer
	add := func(l session.Lane, n int, c string) {
		wire := []byte(repeat(c, n))
		o.push(l, entry{wire: wire})
	}
	for i := range 200 {
		add(session.LaneMessage, 1+i*37%5000, string(rune('a'+i%26)))
		if i%10 == 0 {
			add(session.LaneFile, 70_000, "F")
			add(session.LaneAck, 60, "A")
		}
	}
	for l := range o.lanes {
		for _, e := range o.lanes[l].queue {
			want.Write(e.wire)
		}
	}
	total := o.total()
	for n := 0; !o.empty(); n++ {
		o.fill(b)
		if len(b.parts) > batchParts || b.total > flushBytes+70_000 || b.total == 0 {
			t.Fatalf("batch = %d parts, %d bytes", len(b.parts), b.total)
		}
		all := bytes.Join(b.parts, nil)
		if len(all) != b.total {
			t.Fatalf("batch total = %d, want %d", b.total, len(all))
		}
		take := min(len(all), 1+n*7919%len(all)) // as a socket might
		got.Write(all[:take])
		o.drop(b, take)
		if total -= take; o.total() != total {
			t.Fatalf("total = %d, want %d", o.total(), total)
		}
	}
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Fatal("the stream is not the frames in the order of lanes")
	}
}

func TestLane_StaysSmallWhenItNeverEmpties(t *testing.T) {
	var l lane
	for i := range 10 {
		l.push(entry{wire: []byte{byte(i)}})
	}
	for i := range 100_000 {
		l.push(entry{wire: []byte{byte(i + 10)}})
		if got := l.pop().wire[0]; got != byte(i) {
			t.Fatalf("entry %d = %d", i, got)
		}
	}
	if cap(l.queue) > 64 {
		t.Fatalf("capacity = %d for 10 entries", cap(l.queue))
	}
}

func TestConn_SendDoesNotAllocate(t *testing.T) {
	r := start(t, Config{}, nil)
	c := r.dial()
	p := r.peer()
	go func() {
		buf := make([]byte, 1<<20)
		for {
			if _, err := c.br.Read(buf); err != nil {
				return
			}
		}
	}()
	pkt := packet(false, repeat("m", 300))
	framed(pkt)
	if n := testing.AllocsPerRun(2000, func() {
		for !p.sock.Send(session.LaneMessage, pkt) {
		}
	}); n > 0.5 {
		t.Fatalf("allocations = %v a send", n)
	}
	c.conn.Close()
	p.waitClosed()
}

func TestOutbox_SendAllQueuesWhatFitsInOrder(t *testing.T) {
	for _, wide := range []bool{false, true} {
		t.Run(fmt.Sprintf("wide=%v", wide), func(t *testing.T) { eachMode(t, func(t *testing.T, cfg Config) { sendAllInBounds(t, cfg, wide) }) })
	}
}

func sendAllInBounds(t *testing.T, cfg Config, wide bool) {
	cfg.OutboxBytes = 100
	r := start(t, cfg, nil)
	c := r.dial()
	p := r.peer()
	r.stuff(p, session.LaneFile)
	all := &session.Run{Wide: wide}
	for i := range 10 {
		all.Packets = append(all.Packets, packet(false, repeat(string(rune('a'+i)), 18))) // 20 bytes with their header
	}
	if n := p.sock.SendAll(session.LaneMessage, all, 1, 4); n != 3 {
		t.Fatalf("%d packets of 20 bytes found room in 100, want 3", n)
	}
	if n := p.sock.SendAll(session.LaneMessage, all, 4, 10); n != 2 {
		t.Fatalf("%d packets of 20 bytes found room in 40, want 2", n)
	}
	if n := p.sock.SendAll(session.LaneMessage, all, 6, 7); n != 0 {
		t.Fatal("a packet found room in a full outbox")
	}
	for want := byte('b'); want < 'g'; {
		h, payload, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		if h.OpCode == ws.OpText {
			if payload[0] != want || len(payload) != 18 {
				t.Fatalf("got %q, want that of %c", payload, want)
			}
			want++
		}
	}
	p.sock.Close(protocol.CloseNormal, "")
	p.waitClosed()
	if n := p.sock.SendAll(session.LaneMessage, all, 0, 10); n != 0 {
		t.Fatalf("%d packets were queued for a closed connection", n)
	}
}

func TestOutbox_ARunThatIsLargerThanItsShareGoesFrameByFrame(t *testing.T) {
	cfg := Config{OutboxBytes: 100, ControlBytes: 100}
	for _, c := range []struct{ waiting, size, frames, want int }{
		{0, 18, 10, 5}, {1, 18, 10, 4}, {0, 118, 3, 1}, {1, 118, 3, 0}, {0, 48, 2, 2}, {81, 18, 3, 0}, {80, 18, 3, 1},
	} {
		r := &session.Run{Wide: true}
		for range c.frames {
			r.Packets = append(r.Packets, packet(false, repeat("m", c.size)))
		}
		if !joined(r) {
			t.Fatal("not joined")
		}
		var o outbox
		if c.waiting > 0 {
			o.push(session.LaneAck, entry{wire: make([]byte, c.waiting)})
		}
		n := o.pushRun(session.LaneMessage, r, 0, c.frames, &cfg)
		if bytes := o.bytes[session.LaneMessage]; n != c.want || bytes != n*(c.size+2) {
			t.Errorf("%+v: %d frames and %d bytes were queued", c, n, bytes)
		}
	}
}

func TestOutbox_RunsOfManyReachAReaderThatStopsAndStartsAndAreCounted(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, nil)
		c := r.dial()
		p := r.peer()
		const runs, each, size = 200, 50, 400
		go func() {
			for i := range runs {
				run := &session.Run{Wide: true}
				for j := range each {
					run.Packets = append(run.Packets, packet(false, fmt.Sprintf("%0*d", size, i*each+j)))
				}
				for from := 0; from < each && t.Context().Err() == nil; {
					from += p.sock.SendAll(session.LaneMessage, run, from, each)
					runtime.Gosched()
				}
			}
		}()
		for i := range runs * each {
			if i%2000 == 0 {
				time.Sleep(20 * time.Millisecond) // so that the kernel takes runs in part
			}
			_, payload, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			if n, err := strconv.Atoi(string(payload)); err != nil || n != i || len(payload) != size {
				t.Fatalf("frame %d is %.20q…", i, payload)
			}
		}
		if n := r.srv.Stats().FramesOut; n < runs*each {
			t.Fatalf("%d frames were counted, want at least %d", n, runs*each)
		}
	})
}

func TestOutbox_AChunkIsReadNoMoreOnceItIsSent(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, nil)
		c := r.dial()
		p := r.peer()
		const chunks, size = 300, 60000
		var sent atomic.Int32
		go func() {
			for i := range chunks {
				pkt := packet(true, strings.Repeat(string(rune('a'+i%26)), size))
				spoil := func() {
					sent.Add(1)
					clear(pkt.Payload())
				}
				for !p.sock.SendChunk(pkt, spoil) && t.Context().Err() == nil {
					runtime.Gosched()
				}
			}
		}()
		for i := range chunks {
			if i%50 == 0 {
				time.Sleep(10 * time.Millisecond) // so that the kernel takes chunks in part
			}
			_, payload, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			if want := string(rune('a' + i%26)); len(payload) != size || strings.Count(payload, want) != size {
				t.Fatalf("chunk %d has %d bytes, %d of them right", i, len(payload), strings.Count(payload, want))
			}
		}
		eventually(t, "every chunk is told as sent once", func() bool { return sent.Load() == chunks })
	})
}
