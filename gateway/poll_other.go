//go:build !linux

package gateway

import "net"

// poller exists on Linux only; elsewhere every connection has its goroutine.
type poller struct{}

func newPollers(*Server, int) ([]*poller, error) { return nil, nil }

func (*poller) run()     {}
func (*poller) flusher() {}
func (*poller) close()   {}
func (*poller) free()    {}

func (*Server) adoptPolled(_, _ net.Conn, _ slot, _ []byte, _ bool) *conn { return nil }

func tuneTCP(*net.TCPConn) {}

func lineOfConn(net.Conn) (line, bool) { return line{}, false }
