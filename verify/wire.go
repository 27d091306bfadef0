package verify

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
)

const (
	wireTimeout = 5 * time.Second  // to connect and log in, and for a write
	wirePing    = 3 * time.Second  // between two pings
	wireSilence = 10 * time.Second // after which a socket counts as dead
)

// login is who a client is, and where.
type login struct {
	session, password string
	clientID, userID  string
	version           int // of the protocol
	tls               *tls.Config
}

// wire is one WebSocket that speaks frames as they are: what a broker does is seen on it, flags and repeats included.
type wire struct {
	nc net.Conn
	br *bufio.Reader
	in []byte // the reader's

	mu sync.Mutex // held while writing
}

// dialWire connects and logs in at a base URL. held are the topics that the server has kept for it.
func dialWire(ctx context.Context, base string, l login) (w *wire, held []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, wireTimeout)
	defer cancel()
	nc, early, _, err := ws.Dialer{TLSConfig: l.tls}.Dial(ctx, socketURL(base))
	if err != nil {
		return nil, nil, fmt.Errorf("verify: connect: %w", err)
	}
	w = &wire{nc: nc, br: bufio.NewReader(nc)}
	if early != nil { // the init_response cannot be in it: it answers what was not sent yet
		ws.PutReader(early)
	}
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	init := protocol.ClientFrame{Type: protocol.TypeInit, QoS: 1, SessionName: []byte(l.session), Password: []byte(l.password)}
	if l.version > protocol.Version1 {
		init.Protocol = l.version
	}
	if l.clientID != "" {
		init.ClientID = []byte(l.clientID)
	}
	if l.userID != "" {
		init.UserID = []byte(l.userID)
	}
	var f protocol.ServerFrame
	if err = w.send(&init); err == nil {
		err = w.next(&f)
	}
	if err == nil && !f.Success {
		err = &protocol.Error{Code: f.Code, Text: f.Text}
	}
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("verify: init: %w", err)
	}
	return w, f.Topics, nil
}

// send writes one frame. It is safe for concurrent use.
func (w *wire) send(f *protocol.ClientFrame) error {
	return w.write(ws.OpText, f.Append(nil))
}

func (w *wire) write(op ws.OpCode, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	frame := ws.MaskFrameInPlace(ws.NewFrame(op, true, payload))
	w.nc.SetWriteDeadline(time.Now().Add(wireTimeout))
	if err := ws.WriteFrame(w.nc, frame); err != nil {
		w.nc.Close()
		return err
	}
	return nil
}

// next reads the next text frame into f, whose bytes are valid until the next call. It fails after wireSilence.
func (w *wire) next(f *protocol.ServerFrame) error {
	for {
		w.nc.SetReadDeadline(time.Now().Add(wireSilence))
		h, err := ws.ReadHeader(w.br)
		if err != nil {
			return err
		}
		if h.Length > protocol.MaxPayload+64<<10 || !h.Fin || h.Masked {
			return errors.New("verify: not a frame of a fastPort server")
		}
		if int64(cap(w.in)) < h.Length {
			w.in = make([]byte, h.Length)
		}
		w.in = w.in[:h.Length]
		if _, err := io.ReadFull(w.br, w.in); err != nil {
			return err
		}
		switch h.OpCode {
		case ws.OpPing:
			if err := w.write(ws.OpPong, append([]byte(nil), w.in...)); err != nil {
				return err
			}
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(w.in)
			return &closeError{protocol.CloseCode(code), reason}
		case ws.OpText:
			return f.Parse(w.in)
		}
	}
}

// closeError is how a server ended a connection.
type closeError struct {
	code   protocol.CloseCode
	reason string
}

func (e *closeError) Error() string {
	return fmt.Sprintf("closed by the server: %d %s", e.code, e.reason)
}

func (w *wire) close() { w.nc.Close() }

// socketURL is where the WebSocket of a server is.
func socketURL(base string) string { return "ws" + base[len("http"):] + "/ws" }
