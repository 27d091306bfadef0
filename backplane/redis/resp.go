package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// maxBulk bounds what an answer may make this node allocate: a broken peer costs its connection, not the process.
const maxBulk = 64 << 20

// conn speaks RESP2 with one Redis. Reading is for one goroutine and writing for one, at the same time.
type conn struct {
	net.Conn
	r      *bufio.Reader
	starve func() // may be nil: called when all that came is used up, before more is waited for
}

// source is what r reads.
type source struct{ c *conn }

func (s source) Read(b []byte) (int, error) {
	if s.c.starve != nil {
		s.c.starve()
	}
	return s.c.Conn.Read(b)
}

// reply is one answer.
type reply struct {
	kind byte // '+' '-' ':' '$' '*', or '_' for a null
	n    int64
	text string
	list []reply
}

// err is the server's refusal, if the reply is one.
func (r reply) err() error {
	if r.kind == '-' {
		return refusal(r.text)
	}
	return nil
}

// refusal is an error that Redis answered: "NOPERM …".
type refusal string

func (r refusal) Error() string { return string(r) }

// dial opens a connection to addr and says who is there.
func (t *target) dial(ctx context.Context, addr, name string) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	raw, err := t.connect(ctx, addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw}
	c.r = bufio.NewReaderSize(source{c}, 64<<10)
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := c.greet(t.user, t.password, name); err != nil {
		raw.Close()
		return nil, err
	}
	if !stop() {
		raw.Close()
		return nil, context.Cause(ctx)
	}
	return c, nil
}

func (c *conn) greet(user, password, name string) error {
	switch {
	case user != "":
		if _, err := c.do("AUTH", user, password); err != nil {
			return err
		}
	case password != "":
		if _, err := c.do("AUTH", password); err != nil {
			return err
		}
	}
	var refused refusal
	if _, err := c.do("CLIENT", "SETNAME", name); err != nil && !errors.As(err, &refused) {
		return err // a refused name is no harm: it is for people
	}
	return nil
}

// do sends one command and waits for its answer.
func (c *conn) do(args ...string) (reply, error) {
	if _, err := c.Write(appendCommand(nil, args...)); err != nil {
		return reply{}, err
	}
	r, err := c.read()
	if err == nil {
		err = r.err()
	}
	return r, err
}

// appendCommand appends a command as RESP.
func appendCommand(b []byte, args ...string) []byte {
	b = appendHead(b, '*', len(args))
	for _, arg := range args {
		b = appendBulk(b, arg)
	}
	return b
}

func appendHead(b []byte, kind byte, n int) []byte {
	return append(strconv.AppendInt(append(b, kind), int64(n), 10), '\r', '\n')
}

func appendBulk[T string | []byte](b []byte, text T) []byte {
	return append(append(appendHead(b, '$', len(text)), text...), '\r', '\n')
}

// line reads up to the next CRLF; what it returns is good until the next read.
func (c *conn) line() ([]byte, error) {
	b, err := c.r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(b) < 3 || b[len(b)-2] != '\r' {
		return nil, fmt.Errorf("redis: a line of %d bytes that is no RESP", len(b))
	}
	return b[:len(b)-2], nil
}

// head reads a line that is a type and a number.
func (c *conn) head() (kind byte, n int64, line []byte, err error) {
	if line, err = c.line(); err != nil {
		return 0, 0, nil, err
	}
	switch kind = line[0]; kind {
	case ':', '$', '*':
		n, err = strconv.ParseInt(string(line[1:]), 10, 64)
		if err == nil && kind != ':' && (n < -1 || n > maxBulk) {
			err = fmt.Errorf("redis: a length of %d", n)
		}
	case '+', '-':
	default:
		err = fmt.Errorf("redis: an answer of type %q", kind)
	}
	return kind, n, line, err
}

// body reads the n bytes of a bulk text into buf, which it grows where it must.
func (c *conn) body(buf []byte, n int64) ([]byte, error) {
	if int64(cap(buf)) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(c.r, buf); err != nil {
		return nil, err
	}
	_, err := c.r.Discard(2)
	return buf, err
}

// read reads one answer, whatever its shape.
func (c *conn) read() (reply, error) {
	kind, n, line, err := c.head()
	if err != nil {
		return reply{}, err
	}
	switch {
	case kind == '+' || kind == '-':
		return reply{kind: kind, text: string(line[1:])}, nil
	case kind == ':':
		return reply{kind: kind, n: n}, nil
	case n < 0:
		return reply{kind: '_'}, nil
	case kind == '$':
		text, err := c.body(nil, n)
		return reply{kind: kind, text: string(text)}, err
	}
	var list []reply
	for range n {
		item, err := c.read()
		if err != nil {
			return reply{}, err
		}
		list = append(list, item)
	}
	return reply{kind: kind, list: list}, nil
}

// push is what arrives on a connection that subscribes.
type push struct {
	kind    []byte // "message", "subscribe", "pong", …; reused
	channel []byte // reused
	payload []byte // of a message, fresh each time; of a pong, reused
	n       int64
}

// readPush reads the next one into p. A refusal comes as an error.
func (c *conn) readPush(p *push) error {
	kind, n, line, err := c.head()
	if err != nil {
		return err
	}
	switch {
	case kind == '-':
		return refusal(line[1:])
	case kind != '*' || n < 2 || n > 3:
		return fmt.Errorf("redis: %q of %d where a message was due", kind, n)
	}
	if p.kind, err = c.bulk(p.kind); err != nil {
		return err
	}
	if n == 2 { // pong
		p.payload, err = c.bulk(nil)
		return err
	}
	if p.channel, err = c.bulk(p.channel); err != nil {
		return err
	}
	switch kind, n, _, err = c.head(); {
	case err != nil:
		return err
	case kind == ':':
		p.n = n
		return nil
	case kind == '$' && n >= 0:
		p.payload, err = c.body(nil, n)
		return err
	}
	return fmt.Errorf("redis: %q in a message", kind)
}

// bulk reads a text into buf.
func (c *conn) bulk(buf []byte) ([]byte, error) {
	kind, n, _, err := c.head()
	if err != nil {
		return nil, err
	}
	if kind != '$' || n < 0 {
		return nil, fmt.Errorf("redis: %q where a text was due", kind)
	}
	return c.body(buf, n)
}
