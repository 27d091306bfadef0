package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
)

const readBuffer = 64 << 10

// login is what the server said at init.
type login struct {
	clientID string
	resumed  bool
	topics   []string
	limits   protocol.SessionLimits
}

// dial connects and logs in. The connection reads and writes nothing by itself until it is attached.
func (c *Client) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.DialTimeout)
	defer cancel()

	nc, early, _, err := ws.Dialer{TLSConfig: c.tls()}.Dial(ctx, c.o.URL)
	if err != nil {
		return nil, fmt.Errorf("client: connect: %w", err)
	}
	k := newConn(c, nc, reader(nc, early))
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	k.login, err = k.logIn()
	if !stop() && err == nil { // ctx ended at the last moment: its deadline may be on the socket
		err = context.Cause(ctx)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return k, nil
}

func (c *Client) tls() *tls.Config {
	if c.o.TLS == nil {
		return nil
	}
	return c.o.TLS.Clone()
}

// reader reads from nc, after what came with the handshake's answer.
func reader(nc net.Conn, early *bufio.Reader) *bufio.Reader {
	if early == nil {
		return bufio.NewReaderSize(nc, readBuffer)
	}
	head, _ := early.Peek(early.Buffered())
	head = bytes.Clone(head)
	ws.PutReader(early)
	return bufio.NewReaderSize(io.MultiReader(bytes.NewReader(head), nc), readBuffer)
}

// logIn sends init and reads its answer.
func (k *conn) logIn() (l login, err error) {
	o := &k.c.o
	init := protocol.ClientFrame{
		Type: protocol.TypeInit, Protocol: protocol.Version2, QoS: 1,
		SessionName: []byte(o.SessionName), Password: []byte(o.Password),
		UserID: optional(o.UserID), ClientID: optional(o.ClientID),
	}
	k.text(&init)
	if _, err := k.nc.Write(k.out); err != nil {
		return l, fmt.Errorf("client: init: %w", err)
	}
	k.out = k.out[:0]
	for {
		op, payload, err := k.next()
		if err != nil {
			return l, fmt.Errorf("client: init: %w", err)
		}
		if op != ws.OpText {
			continue
		}
		f := &k.frame
		if err := f.Parse(payload); err != nil {
			return l, fmt.Errorf("client: init: the server's answer: %w", err)
		}
		switch f.Type {
		case protocol.TypeInitResponse, protocol.TypeError:
			if !f.Success {
				return l, &protocol.Error{Code: f.Code, Text: f.Text}
			}
			return k.loggedIn(f)
		}
	}
}

func (k *conn) loggedIn(f *protocol.ServerFrame) (login, error) {
	if f.Protocol != protocol.Version2 {
		return login{}, errVersion
	}
	if f.KeyCheck != "" && !k.c.o.Keys.Holds(f.KeyCheck) {
		return login{}, protocol.Errorf(protocol.KeyMismatch, "the key is not this session's")
	}
	k.c.clock.set(f.ServerTime)
	return login{clientID: string(f.ClientID), resumed: f.Resumed, topics: f.Topics, limits: f.Limits}, nil
}

func optional(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}
