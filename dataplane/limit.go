package dataplane

import (
	"net"
	"sync"
)

// limit is a listener that holds so many connections at a time. More are closed at once, so that whoever hoards them
// is the only one to wait.
type limit struct {
	net.Listener
	room chan struct{}
}

func limited(ln net.Listener, n int) net.Listener {
	return &limit{Listener: ln, room: make(chan struct{}, n)}
}

func (l *limit) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.room <- struct{}{}:
			return &counted{Conn: c, done: sync.OnceFunc(func() { <-l.room })}, nil
		default:
			c.Close()
		}
	}
}

type counted struct {
	net.Conn
	done func()
}

func (c *counted) Close() error {
	defer c.done()
	return c.Conn.Close()
}
