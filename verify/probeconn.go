package verify

import (
	"context"
	"errors"
	"sync"

	"github.com/fastport/fastport/protocol"
)

// probeConn is a socket that stays with one node, and is made again whenever it breaks.
type probeConn struct {
	l     *load
	url   string
	login login
	topic string // subscribed to; "": nothing
	frame func(f *protocol.ServerFrame)

	mu   sync.Mutex // guards the following
	conn *wire
}

// run keeps a connection until ctx ends.
func (c *probeConn) run(ctx context.Context) {
	for ctx.Err() == nil {
		c.session(ctx)
		pause(ctx, probeEvery)
	}
}

func (c *probeConn) session(ctx context.Context) {
	w, _, err := dialWire(ctx, c.url, c.login)
	if err != nil {
		return
	}
	defer w.close()
	stop := context.AfterFunc(ctx, w.close)
	defer stop()
	if c.topic != "" {
		if w.send(&protocol.ClientFrame{Type: protocol.TypeSubscribe, Topic: []byte(c.topic), QoS: 1}) != nil {
			return
		}
	}
	c.mu.Lock()
	c.conn = w
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.conn = nil
		c.mu.Unlock()
	}()
	var f protocol.ServerFrame
	for w.next(&f) == nil {
		c.frame(&f)
		if f.Type == protocol.TypeMessage {
			ack := protocol.ClientFrame{Type: protocol.TypeAck, MessageID: f.MessageID, Topic: f.Topic, QoS: 1}
			if w.send(&ack) != nil {
				return
			}
		}
	}
}

func (c *probeConn) send(f *protocol.ClientFrame) error {
	c.mu.Lock()
	w := c.conn
	c.mu.Unlock()
	if w == nil {
		return errNotConnected
	}
	return w.send(f)
}

var errNotConnected = errors.New("verify: not connected")
