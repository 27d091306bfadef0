package postgres

import (
	"context"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// What the DSN may say otherwise: pool_max_conns, pool_max_conn_lifetime_jitter, pool_ping_timeout, connect_timeout.
const (
	poolConns      = 16 // groups, reads and settles run side by side
	lifetimeJitter = 10 * time.Minute
	pingTimeout    = time.Second
	connectTimeout = 5 * time.Second
	passOnTimeout  = 2 * time.Second // connectTimeout where there is another host to try
)

const callTimeout = 30 * time.Second

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

func poolConfig(dsn string, servers *servers) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	if !strings.Contains(dsn, "sslmode") && os.Getenv("PGSSLMODE") == "" && !local(config.ConnConfig) {
		return poolConfig(withVerification(dsn), servers)
	}
	for name, value := range settings {
		config.ConnConfig.RuntimeParams[name] = value
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		config.MaxConns = poolConns
	}
	if config.MaxConnLifetimeJitter == 0 {
		config.MaxConnLifetimeJitter = lifetimeJitter
	}
	if config.PingTimeout == 0 {
		config.PingTimeout = pingTimeout
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
		if len(hosts(config.ConnConfig)) > 1 {
			config.ConnConfig.ConnectTimeout = passOnTimeout
		}
	}
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		servers.newLine(c)
		return nil
	}
	return config, nil
}

// hosts are the servers of the configuration, each once, in order.
func hosts(c *pgx.ConnConfig) (list []host) {
	for _, f := range c.Fallbacks {
		list = append(list, host{f.Host, f.Port})
	}
	return slices.Compact(append([]host{{c.Host, c.Port}}, list...))
}

// local says whether every server of the configuration is on this machine.
func local(c *pgx.ConnConfig) bool {
	for _, h := range hosts(c) {
		ip := net.ParseIP(h.name)
		if h.name != "localhost" && !strings.HasPrefix(h.name, "/") && !strings.HasPrefix(h.name, "@") && (ip == nil || !ip.IsLoopback()) {
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

// bound gives a call without a deadline one.
func bound(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, callTimeout)
}
