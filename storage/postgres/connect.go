package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	poolConns   = 16 // unless the DSN says otherwise: groups, reads and settles run side by side
	callTimeout = 30 * time.Second
)

// settings are those of every connection. A node that freezes or vanishes holds the others for seconds, not for good;
// nothing on the server may cancel a statement that is past its locks, for that could be a commit.
var settings = map[string]string{
	"application_name":                    "fastport",
	"synchronous_commit":                  "on",
	"default_transaction_isolation":       "read committed",
	"lock_timeout":                        "3s", // longer than a frozen holder has
	"idle_in_transaction_session_timeout": "1s",
	"statement_timeout":                   "0", // it cancels the wait for a standby too, which then counts as success
	"tcp_user_timeout":                    "10s",
	"tcp_keepalives_idle":                 "10s",
	"tcp_keepalives_interval":             "5s",
	"tcp_keepalives_count":                "2",
	"timezone":                            "UTC",
	"jit":                                 "off", // plans that avoid sequential scans look dear enough to compile
}

func poolConfig(dsn string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		config.MaxConns = poolConns
	}
	if !strings.Contains(dsn, "sslmode") && os.Getenv("PGSSLMODE") == "" && !local(config.ConnConfig) {
		return poolConfig(withVerification(dsn))
	}
	for name, value := range settings {
		config.ConnConfig.RuntimeParams[name] = value
	}
	config.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		l := &line{dial: c.DialFunc}
		c.DialFunc, c.BuildContextWatcherHandler = l.dialContext, l.watcher
		return nil
	}
	return config, nil
}

// local says whether every server of the configuration is on this machine.
func local(c *pgx.ConnConfig) bool {
	hosts := []string{c.Host}
	for _, f := range c.Fallbacks {
		hosts = append(hosts, f.Host)
	}
	for _, host := range hosts {
		ip := net.ParseIP(host)
		if host != "localhost" && !strings.HasPrefix(host, "/") && !strings.HasPrefix(host, "@") && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}

func withVerification(dsn string) string {
	switch {
	case !strings.Contains(dsn, "://"):
		return dsn + " sslmode=verify-full"
	case strings.Contains(dsn, "?"):
		return dsn + "&sslmode=verify-full"
	default:
		return dsn + "?sslmode=verify-full"
	}
}

// errNoCancel is what the driver hears when it wants to cancel.
var errNoCancel = errors.New("postgres: a statement is never cancelled")

// line is one connection to the server. A deadline hangs up and does no more: the driver would also dial the server to
// have the statement cancelled, and a commit whose wait for a standby is cancelled reports success.
type line struct {
	dial   pgconn.DialFunc
	up     atomic.Bool
	hungUp atomic.Bool
	pg     *pgconn.PgConn
}

// dialContext dials until the connection is up, hosts and fallbacks included. Any later dial is for a cancel.
func (l *line) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if l.up.Load() {
		return nil, errNoCancel
	}
	conn, err := l.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &lineConn{Conn: conn, line: l}, nil
}

func (l *line) watcher(pg *pgconn.PgConn) ctxwatch.Handler {
	l.pg = pg
	l.up.Store(true)
	return l
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

// bound gives a call without a deadline one.
func bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, callTimeout)
}
