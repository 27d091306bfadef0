package conformance

import (
	"bufio"
	"encoding/json"
	"net"
	"sync"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/internal/testenv"
)

// frame is a text frame's JSON, of which the relay reads what it must and passes on the rest as it is.
type frame map[string]json.RawMessage

// text is a field that holds a string.
func (f frame) text(name string) (s string) {
	json.Unmarshal(f[name], &s) // one that holds none is ""
	return s
}

func (f frame) typ() string { return f.text("type") }

// is reports whether a field holds this, as it stands in JSON or in a string of it.
func (f frame) is(name, value string) bool { return string(f[name]) == value || f.text(name) == value }

// with is f with other fields; a nil value takes one away.
func (f frame) with(fields map[string]any) frame {
	g := make(frame, len(f))
	for name, value := range f {
		g[name] = value
	}
	for name, value := range fields {
		if value == nil {
			delete(g, name)
			continue
		}
		g[name], _ = json.Marshal(value) // plain values
	}
	return g
}

func newFrame(fields map[string]any) frame { return frame(nil).with(fields) }

// end is one of the two WebSockets that the relay stands between.
type end struct {
	nc     net.Conn
	br     *bufio.Reader
	server bool // the other side is one: what is written to it is masked

	mu sync.Mutex // held while a frame is written
}

// read reads the next whole message, or a control frame.
func (e *end) read(partial *ws.Frame) (ws.Frame, error) {
	for {
		f, err := testenv.ReadFrame(e.br)
		if err != nil {
			return f, err
		}
		if f.Header.Masked {
			ws.Cipher(f.Payload, f.Header.Mask, 0)
		}
		switch {
		case f.Header.OpCode.IsControl():
			return f, nil
		case f.Header.OpCode != ws.OpContinuation:
			*partial = f
		default:
			partial.Payload = append(partial.Payload, f.Payload...)
		}
		if f.Header.Fin {
			return *partial, nil
		}
	}
}

// write fails where the connection is gone, which whoever reads from it finds out too.
func (e *end) write(op ws.OpCode, payload []byte) error {
	f := ws.NewFrame(op, true, payload)
	if e.server {
		f = ws.MaskFrame(f)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	head, err := ws.CompileFrame(f)
	if err == nil {
		_, err = e.nc.Write(head)
	}
	return err
}

func (e *end) say(f frame) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return e.write(ws.OpText, text)
}

// bye ends the direction to this side; what is under way still arrives.
func (e *end) bye() {
	if c, ok := e.nc.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
}
