package postgres

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// host is a server as the DSN names it.
type host struct {
	name string
	port uint16
}

// hostOf says which host an address is of. A Unix socket's is of none.
func hostOf(addr string, names map[string]string) host {
	ip, port, err := net.SplitHostPort(addr)
	if err != nil {
		return host{}
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	return host{names[ip], uint16(n)}
}

// servers is what a node knows of the servers that its DSN names: which one is the primary, and how far history has
// come. A primary that was replaced may still run, or run again, and believe in itself; what it would store is lost.
type servers struct {
	mu      sync.Mutex // guards the following
	primary host       // as of the last connection
	epoch   string     // the newest
}

// errReplaced is what a server's answer is worth that has a successor.
var errReplaced = errors.New("the server has been replaced by another, whose log goes on from its own " +
	"(after a backup was restored on purpose: restart the nodes)")

// admit takes an answer of the given epoch, or refuses it: a promotion starts a timeline with a higher number, so that of
// a lower one, of the same system, is over.
func (s *servers) admit(epoch string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch == s.epoch {
		return nil
	}
	system, timeline, _ := strings.Cut(epoch, "-")
	if known, newest, _ := strings.Cut(s.epoch, "-"); system == known && timeline < newest { // 8 hex digits each
		return errReplaced
	}
	s.epoch = epoch
	return nil
}

// validate asks a server that was just connected to whether it is the primary. In recovery, or read-only, it is not. The
// connection keeps the server's identity for store_epoch.
func (s *servers) validate(ctx context.Context, pg *pgconn.PgConn, at host) error {
	answers, err := pg.Exec(ctx, `
		SELECT current_setting('transaction_read_only'), pg_is_in_recovery(), CASE WHEN NOT pg_is_in_recovery()
			THEN set_config('fastport.system', system_identifier::text, false) || '-' || left(pg_walfile_name(pg_current_wal_lsn()), 8) END
		FROM pg_control_system()`).ReadAll()
	if err != nil {
		return err
	}
	switch row := answers[0].Rows[0]; {
	case string(row[1]) == "t":
		return pgconn.ErrStandbyConnection
	case string(row[0]) == "on":
		return pgconn.ErrReadOnlyConnection
	default:
		if err := s.admit(string(row[2])); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.primary = at
	s.mu.Unlock()
	return nil
}

// order has a connection try the primary first, so that a host that is gone costs its timeout once and not each time.
func (s *servers) order(c *pgx.ConnConfig) {
	s.mu.Lock()
	primary := s.primary
	s.mu.Unlock()
	first := []*pgconn.FallbackConfig{}
	rest := []*pgconn.FallbackConfig{}
	for _, f := range append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}, c.Fallbacks...) {
		if (host{f.Host, f.Port}) == primary {
			first = append(first, f)
		} else {
			rest = append(rest, f)
		}
	}
	list := append(first, rest...)
	c.Host, c.Port, c.TLSConfig, c.Fallbacks = list[0].Host, list[0].Port, list[0].TLSConfig, list[1:]
}
