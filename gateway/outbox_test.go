package gateway

import (
	"bytes"
	"slices"
	"sync"
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
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.OutboxBytes = 100
		r := start(t, cfg, nil)
		c := r.dial()
		p := r.peer()
		r.stuff(p, session.LaneFile)
		var all []*session.Packet
		for i := range 10 {
			all = append(all, packet(false, repeat(string(rune('a'+i)), 18))) // 20 bytes with their header
		}
		if n := p.sock.SendAll(session.LaneMessage, all); n != 5 {
			t.Fatalf("%d packets of 20 bytes found room in 100, want 5", n)
		}
		for want := byte('a'); want < 'f'; {
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
		if n := p.sock.SendAll(session.LaneMessage, all); n != 0 {
			t.Fatalf("%d packets were queued for a closed connection", n)
		}
	})
}
