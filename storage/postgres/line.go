package postgres

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// errNoCancel is what the driver hears when it wants to cancel.
var errNoCancel = errors.New("postgres: a statement is never cancelled")

// line is one connection to a server. A deadline hangs up and does no more: the driver would also dial the server to
// have the statement cancelled, and a commit whose wait for a standby is cancelled reports success.
type line struct {
	servers *servers
	resolve pgconn.LookupFunc
	names   map[string]string // of the addresses that were looked up
	to      host              // dialled last
	up      atomic.Bool
	hungUp  atomic.Bool
	pg      *pgconn.PgConn
}

// newLine has a connection that is about to be made go to the primary first, and be a line.
func (s *servers) newLine(c *pgx.ConnConfig) {
	l := &line{servers: s, resolve: c.LookupFunc, names: map[string]string{}}
	s.order(c)
	c.LookupFunc, c.DialFunc, c.ValidateConnect, c.BuildContextWatcherHandler = l.lookup, l.dialContext, l.validate, l.watcher
}

func (l *line) lookup(ctx context.Context, name string) ([]string, error) {
	addrs, err := l.resolve(ctx, name)
	for _, addr := range addrs {
		l.names[addr] = name
	}
	return addrs, err
}

// dialContext dials until the connection is up, host after host. Any later dial is for a cancel.
func (l *line) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if l.up.Load() {
		return nil, errNoCancel
	}
	// That the other side of an idle connection is gone is noticed within 20 s.
	alive := net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 2}
	conn, err := (&net.Dialer{KeepAliveConfig: alive}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l.to = hostOf(addr, l.names)
	return &lineConn{Conn: conn, line: l}, nil
}

func (l *line) watcher(pg *pgconn.PgConn) ctxwatch.Handler {
	l.pg = pg
	l.up.Store(true)
	return l
}

// validate refuses a server that is not the primary; the driver tries the next host.
func (l *line) validate(ctx context.Context, pg *pgconn.PgConn) error {
	err := l.servers.validate(ctx, pg, l.to)
	if err != nil {
		l.up.Store(false)
	}
	return err
}

// HandleCancel implements ctxwatch.Handler: it ends the wait for an answer.
func (l *line) HandleCancel(context.Context) {
	l.hungUp.Store(true)
	l.pg.Conn().SetDeadline(time.Unix(1, 0)) // any time in the past
}

// HandleUnwatchAfterCancel implements ctxwatch.Handler.
func (l *line) HandleUnwatchAfterCancel() {
	l.hungUp.Store(false) // where the answer was quicker, the connection stays good
	l.pg.Conn().SetDeadline(time.Time{})
}

// lineConn closes as soon as a wait was cut short: the driver would listen on for 15 s for a farewell.
type lineConn struct {
	net.Conn
	line *line
}

// Read implements net.Conn.
func (c *lineConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && c.line.hungUp.Load() {
		c.Conn.Close()
	}
	return n, err
}

// Write implements net.Conn.
func (c *lineConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil && c.line.hungUp.Load() {
		c.Conn.Close()
	}
	return n, err
}
