package verify

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
)

// silence is how long a silent socket is left to the server: it promises to find it within 35 s, or, where its queue is
// full, within 30 s of that; and this machine may be busy.
const silence = 50 * time.Second

// How many silent clients there are, and what the flooded ones are sent: more than any queue may hold.
const (
	halfOpens     = 3
	stuckCount    = 50
	floodTopic    = "verify/flood"
	floodSize     = 64 << 10
	floodInterval = 100 * time.Millisecond
)

// halfOpen is clients whose hosts are gone without a word, in the middle of traffic.
func halfOpen(ctx context.Context, s *stage, node int) toll {
	return s.mute(ctx, node, halfOpens, mute{topics: s.busyTopics(), unplugged: true})
}

// stuckReaders are fifty clients that stop reading: half of them get a little, from the load, the others a flood. One is a
// durable subscriber, which the checker holds the broker to; it comes back later and must have lost nothing.
func stuckReaders(ctx context.Context, s *stage, node int) toll {
	s.l.sleeper.sleep(s.l.now() + s.silence)
	weigh := s.weigh(ctx)
	var wg sync.WaitGroup
	var little, much toll
	half := s.stuck / 2
	wg.Go(func() { little = s.mute(ctx, node, half-1, mute{topics: s.busyTopics()}) }) // and the sleeper
	wg.Go(func() { much = s.mute(ctx, node, s.stuck-half, mute{topics: []string{floodTopic}}) })
	flooding, stop := context.WithCancel(ctx)
	var flood sync.WaitGroup
	flood.Go(func() { s.flood(flooding, node) })
	wg.Wait()
	stop()
	flood.Wait()
	t := weigh()
	t.open, t.of = little.open+much.open, little.of+much.of
	return t
}

// busyTopics are those on which the most is published in the session of plain sockets.
func (s *stage) busyTopics() (list []string) {
	for _, t := range some(min(4, s.l.o.Topics)) {
		list = append(list, topicName(t))
	}
	return list
}

// mute is a client that falls silent.
type mute struct {
	topics    []string
	unplugged bool // its host takes nothing either
}

// plain is a client of the session of plain sockets, without a name.
func (s *stage) plain() login {
	t := s.l.tenants[plainSession]
	return login{session: t.name, password: t.password, version: 2, tls: s.l.o.TLS}
}

// mute connects clients to a node that fall silent, and tells how many of them the server has not closed in time.
func (s *stage) mute(ctx context.Context, node, count int, m mute) toll {
	var wg sync.WaitGroup
	var open atomic.Int64
	for range count {
		wg.Go(func() {
			if m.stays(ctx, s.l.o.URLs[node], s.plain(), s.silence) {
				open.Add(1)
			}
		})
	}
	wg.Wait()
	return toll{open: int(open.Load()), of: count}
}

// stays reports whether the socket is still open at the end. One that cannot be opened, its node being down for a
// moment, is not.
func (m mute) stays(ctx context.Context, url string, o login, silence time.Duration) (open bool) {
	w, _, err := dialWire(ctx, url, o)
	if err != nil {
		return false
	}
	defer w.close()
	for _, t := range m.topics {
		if w.send(&protocol.ClientFrame{Type: protocol.TypeSubscribe, Topic: []byte(t), QoS: 1}) != nil {
			return false
		}
	}
	plug := func() {}
	if m.unplugged {
		pause(ctx, time.Second) // until it is subscribed
		plug = unplug(w.nc)
	}
	pause(ctx, silence)
	if ctx.Err() != nil {
		return false
	}
	// Only now is it read, to the end that the server made of it. Where that is gone for good, only who speaks is told.
	plug()
	if m.unplugged && w.write(ws.OpPing, nil) != nil {
		return false
	}
	w.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err = io.Copy(io.Discard, w.br)
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

// flood publishes large messages until ctx ends.
func (s *stage) flood(ctx context.Context, node int) {
	data := []byte(strings.Repeat("f", floodSize))
	for ctx.Err() == nil {
		s.floodOver(ctx, s.l.o.URLs[node], data)
		pause(ctx, reconnectWait)
	}
}

// floodOver does so over one connection.
func (s *stage) floodOver(ctx context.Context, url string, data []byte) {
	w, _, err := dialWire(ctx, url, s.plain())
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer w.close()
	stop := context.AfterFunc(ctx, w.close)
	defer stop()
	wg.Go(func() { io.Copy(io.Discard, w.br) })
	for ctx.Err() == nil {
		f := protocol.ClientFrame{Type: protocol.TypePublish, Topic: []byte(floodTopic), MessageID: []byte(s.l.random()), Data: data, HasData: true, QoS: 1}
		if w.send(&f) != nil {
			return
		}
		pause(ctx, floodInterval)
	}
}
