package session

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	bus "github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
	"github.com/fastport/fastport/storage/memory"
)

// BenchmarkPublish takes a publish from its frame to its ack and to each of its ephemeral subscribers, without sockets
// and on a store that stores nothing: what the engine itself costs.
func BenchmarkPublish(b *testing.B) {
	for _, subscribers := range []int{1, 10} {
		b.Run(fmt.Sprintf("subscribers=%d", subscribers), func(b *testing.B) {
			store := memory.Open(storage.Options{}, time.Now)
			row := storage.Session{ID: "0123456789abcdef0123456789abcdef", Name: "s", RetryInterval: time.Hour, MaxRetryLimit: 1, MessageExpiry: time.Hour}
			if err := store.CreateSession(b.Context(), row); err != nil {
				b.Fatal(err)
			}
			plane := bus.NewBus().Node("n")
			n, err := New(Config{NodeID: "n", Store: store, Backplane: plane, Catalog: NewCatalog(CatalogConfig{Store: store, Control: plane})})
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			var running sync.WaitGroup
			running.Go(func() { _ = n.Run(ctx) })
			defer running.Wait()
			defer stop()

			t := n.tenant(row)
			tp := t.topic([]byte("t"))
			open := func(s Socket) *Conn {
				c := n.Open(s, netip.Addr{}).(*Conn)
				c.tenant, c.version = t, protocol.Version2
				t.enter(c)
				c.ready.Store(true)
				return c
			}
			for range subscribers {
				s := &acker{}
				s.conn = open(s)
				f := s.conn.follow(tp, nil, 0)
				tp.fence(func(error) { f.open() })
			}
			answers := &acker{acked: make(chan struct{}, 64)}
			publisher := open(answers)
			for range cap(answers.acked) { // so many are on their way at once
				answers.acked <- struct{}{}
			}
			data := make([]byte, 64)
			for i := 0; b.Loop(); i++ {
				<-answers.acked
				publisher.publish(&protocol.ClientFrame{Type: protocol.TypePublish, Topic: []byte("t"), MessageID: fmt.Appendf(nil, "%d", i), Data: data, QoS: 1})
			}
			for range cap(answers.acked) {
				<-answers.acked
			}
		})
	}
}

// acker is a socket that acks what it is sent, once its window is half full.
type acker struct {
	conn  *Conn
	acked chan struct{}
	due   int
}

func (s *acker) Send(l Lane, _ *Packet) bool {
	switch {
	case l == LaneAck:
		s.acked <- struct{}{}
	case l == LaneMessage:
		if s.due++; s.due == protocol.MaxInFlight/2 {
			s.due = 0
			go s.ackAll()
		}
	}
	return true
}

func (s *acker) ackAll() {
	s.conn.mu.Lock()
	var ids [][]byte
	for i := s.conn.window.head; i < len(s.conn.window.list); i++ {
		ids = append(ids, []byte(s.conn.window.list[i].m.id))
	}
	s.conn.mu.Unlock()
	s.conn.ack(&protocol.ClientFrame{MessageIDs: ids, Topic: []byte("t")})
}

func (s *acker) SendAll(l Lane, r *Run, from, to int) int { return sendEach(s, l, r, from, to) }
func (s *acker) SendChunk(_ *Packet, sent func()) bool    { sent(); return true }
func (s *acker) Ping()                                    {}
func (s *acker) Resume()                                  {}
func (s *acker) Close(_ protocol.CloseCode, _ string)     {}
