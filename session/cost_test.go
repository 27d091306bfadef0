package session

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/protocol"
)

func TestConn_IdleCostsLessThanAKilobyte(t *testing.T) {
	size := unsafe.Sizeof(Conn{}) + unsafe.Sizeof(feed{}) + unsafe.Sizeof(subscription{}) + unsafe.Sizeof(subscriber{})
	if size > 1024 {
		t.Errorf("a connection with one durable subscription takes %d bytes, want at most 1024", size)
	}
}

// sink is a socket that takes everything.
type sink struct{ messages int }

func (s *sink) Send(l Lane, _ *Packet) bool {
	if l == LaneMessage {
		s.messages++
	}
	return true
}
func (s *sink) SendAll(l Lane, r *Run, from, to int) int { return sendEach(s, l, r, from, to) }
func (s *sink) SendChunk(_ *Packet, sent func()) bool    { sent(); return true }
func (s *sink) Ping()                                    {}
func (s *sink) Resume()                                  {}
func (s *sink) Close(_ protocol.CloseCode, _ string)     {}
func (b *bed) sinks(n *bedNode, many int) []*Conn {
	row := b.session("s")
	tn := n.tenant(row)
	tp := tn.topic([]byte("t"))
	conns := make([]*Conn, many)
	for i := range conns {
		c := n.Open(&sink{}, netip.Addr{}).(*Conn)
		c.tenant, c.version = tn, 2
		tn.enter(c)
		c.ready.Store(true)
		f := c.follow(tp, nil, 0)
		tp.fence(func(error) { f.open() })
		conns[i] = c
	}
	return conns
}

// What one message costs does not grow with its subscribers, but for the places in their windows.
func TestDeliver_AllocatesNothingPerSubscriber(t *testing.T) {
	onBed(t, func(b *bed) {
		n := b.node()
		conns := b.sinks(n, 200)
		tp := conns[0].tenant.find("t")
		serial := 0
		round := func() {
			serial++
			id := fmt.Sprint("m", serial)
			tp.copies([]*backplane.Copy{{Channel: tp.channel, MessageID: id, Data: []byte("data"), QoS: 1, Issued: time.Now()}})
			for _, c := range conns {
				c.ackAll([][]byte{[]byte(id)}, nil)
			}
			tp.note(&backplane.Note{Channel: tp.channel, MessageID: id})
		}
		for range 100 {
			round()
		}
		if allocs := testing.AllocsPerRun(200, round); allocs > 20 {
			t.Errorf("%v allocations a message to 200 subscribers, want 20 at most", allocs)
		}
		if got := conns[7].socket.(*sink).messages; got < 300 {
			t.Errorf("a subscriber got %d messages", got)
		}
	})
}

func TestNode_GoroutinesDoNotGrowWithConnections(t *testing.T) {
	onBed(t, func(b *bed) {
		n := b.node()
		before := runtime.NumGoroutine()
		b.sinks(n, 500)
		if grown := runtime.NumGoroutine() - before; grown > 5 {
			t.Errorf("%d goroutines more for 500 connections", grown)
		}
	})
}
