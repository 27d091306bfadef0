package testenv

import (
	"io"

	"github.com/gobwas/ws"
)

// ReadFrame reads one frame, of whatever size, of a peer that the test has started.
func ReadFrame(from io.Reader) (f ws.Frame, err error) {
	if f.Header, err = ws.ReadHeader(from); err != nil {
		return f, err
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(from, f.Payload)
	return f, err
}
