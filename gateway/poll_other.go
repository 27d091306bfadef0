//go:build !linux

package gateway

import (
	"net"
	"time"
)

// poller exists on Linux only; elsewhere every connection has its goroutine.
type poller struct{}

func newPollers(*Server, int) ([]*poller, error) { return nil, nil }

func (*poller) run()     {}
func (*poller) flusher() {}
func (*poller) close()   {}
func (*poller) free()    {}

func (*poller) late(time.Duration) {}

// pollDoor exists on Linux only.
type pollDoor struct{ net.Listener }

func (*Server) openDoor(net.Listener) (*pollDoor, error) { return nil, nil }

func (*pollDoor) finish() {}

func (*Server) adoptPolled(_, _ net.Conn, _ slot, _ []byte, _ bool) *conn { return nil }

func tuneTCP(*net.TCPConn) {}

func lineOfConn(net.Conn) (line, bool) { return line{}, false }
