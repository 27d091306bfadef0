package verify

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/protocol"
)

// silence is how long a silent socket is left to the server: it promises to find it within 35 s, and this machine may be
// busy.
const silence = 45 * time.Second

// halfOpen is a client whose socket stays open and that says nothing more, not even to a ping. It subscribes to nothing,
// so that nothing but pings tells.
func halfOpen(ctx context.Context, s *stage, node int) (open int) { return s.mute(ctx, node, 1, 0) }

// stuckReaders are fifty that subscribe to what is busy and stop reading; a durable subscriber among them, which
// the checker holds the broker to, comes back later and must have lost nothing.
func stuckReaders(ctx context.Context, s *stage, node int) (open int) {
	s.l.sleeper.sleep(s.l.now() + silence)
	return s.mute(ctx, node, 49, min(4, s.l.o.Topics))
}

// mute connects clients to a node that fall silent, and returns how many of them the server has not closed.
func (s *stage) mute(ctx context.Context, node, count, topics int) int {
	t := s.l.tenants[plainSession]
	o := login{session: t.name, password: t.password, version: 2, tls: s.l.o.TLS}
	var wg sync.WaitGroup
	var open atomic.Int64
	for range count {
		wg.Go(func() {
			if s.muteOne(ctx, s.l.o.URLs[node], o, topics) {
				open.Add(1)
			}
		})
	}
	wg.Wait()
	return int(open.Load())
}

// muteOne reports whether the socket is still open at the end. One that cannot be opened, its node being down for a
// moment, is not.
func (s *stage) muteOne(ctx context.Context, url string, o login, topics int) (open bool) {
	w, _, err := dialWire(ctx, url, o)
	if err != nil {
		return false
	}
	defer w.close()
	if tcp, ok := w.nc.(*net.TCPConn); ok {
		tcp.SetReadBuffer(4 << 10) // so that what is not read soon fills the server's queue
	}
	for t := range topics {
		if w.send(&protocol.ClientFrame{Type: protocol.TypeSubscribe, Topic: []byte(topicName(t)), QoS: 1}) != nil {
			return false
		}
	}
	pause(ctx, silence)
	if ctx.Err() != nil {
		return false
	}
	// Only now is it read, to the end that the server made of it.
	w.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err = io.Copy(io.Discard, w.br)
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}
