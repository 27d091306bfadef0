package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
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

// dial connects and logs in, at the server whose turn it is, or, where that fails and a retry may help, at the first of
// the others that takes it. The connection reads and writes nothing by itself until it is attached. old, if it is not nil,
// is the one whose place it is to take.
func (c *Client) dial(ctx context.Context, old *conn) (k *conn, err error) {
	for range c.o.URLs {
		if k, err = c.dialAt(ctx, c.places.now(), old); err == nil || ctx.Err() != nil || fatal(err) {
			return k, err
		}
		c.places.skip()
	}
	return nil, err
}

func (c *Client) dialAt(ctx context.Context, url string, old *conn) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.DialTimeout)
	defer cancel()
	nc, early, _, err := ws.Dialer{TLSConfig: c.tls()}.Dial(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("client: connect: %w", err)
	}
	k := newConn(c, nc, reader(nc, early))
	if old != nil {
		c.settleOn(old)
		was := old.moving.Swap(true)
		defer func() {
			if refusedLogin(err) && !triedLogin(err) {
				old.moving.Store(was)
			}
		}()
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	k.login, err = k.logIn()
	if !stop() && err == nil { // ctx ended at the last moment: its deadline may be on the socket
		err = context.Cause(ctx)
	}
	if err != nil {
		if !refusedLogin(err) {
			c.unanswered.add()
		}
		nc.Close()
		return nil, err
	}
	return k, nil
}

// places takes turns among the servers.
type places struct {
	urls []string

	mu sync.Mutex // guards the following
	at int
}

func newPlaces(urls []string) *places { return &places{urls: urls, at: rand.IntN(len(urls))} }

func (p *places) now() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.urls[p.at]
}

// skip gives the next one its turn.
func (p *places) skip() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = (p.at + 1) % len(p.urls)
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
