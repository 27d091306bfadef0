package main

import (
	"fmt"
	"io"
	"syscall"

	"github.com/gobwas/ws"
)

// rw is what the adapters' blocking set-up talks through.
type rw struct {
	io.Reader
	io.Writer
}

type fdRW struct {
	fd  int
	pre []byte
}

func (f *fdRW) Read(p []byte) (int, error) {
	if len(f.pre) > 0 {
		n := copy(p, f.pre)
		f.pre = f.pre[n:]
		return n, nil
	}
	for {
		n, err := syscall.Read(f.fd, p)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("read: %w", err)
		}
		if n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}
}

func (f *fdRW) Write(p []byte) (int, error) {
	t := 0
	for t < len(p) {
		n, err := syscall.Write(f.fd, p[t:])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return t, err
		}
		t += n
	}
	return t, nil
}

// sendNow is for set-up code: one blocking frame.
func sendNow(f io.Writer, op byte, p []byte) error {
	_, err := f.Write(appendFrame(nil, op, p))
	return err
}

// recvNow is for set-up code: one whole data frame, answering pings.
func recvNow(f io.ReadWriter) ([]byte, error) {
	for {
		h, err := ws.ReadHeader(f)
		if err != nil {
			return nil, err
		}
		if h.Length > 1<<20 {
			return nil, fmt.Errorf("frame of %d bytes in set-up", h.Length)
		}
		p := make([]byte, h.Length)
		if _, err := io.ReadFull(f, p); err != nil {
			return nil, err
		}
		switch h.OpCode {
		case ws.OpPing:
			sendNow(f, 10, p)
		case ws.OpClose:
			return nil, fmt.Errorf("closed: %q", p)
		case ws.OpText, ws.OpBinary, ws.OpContinuation:
			return p, nil
		}
	}
}

type preReader struct {
	pre []byte
	r   io.Reader
}

func (p *preReader) Read(b []byte) (int, error) {
	if len(p.pre) > 0 {
		n := copy(b, p.pre)
		p.pre = p.pre[n:]
		return n, nil
	}
	return p.r.Read(b)
}
