package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"
)

// shape is how Redis is set up.
type shape uint8

const (
	standalone shape = iota
	sentinel
	cluster
)

// target is what the settings say: where Redis is and how to log in.
type target struct {
	shape shape
	seeds []string // one server, or the addresses of Sentinels, or of some nodes of a cluster

	user, password string
	db             int
	tls            *tls.Config // nil: none; ServerName is set for each address

	master                         string // Sentinel's name for it
	sentinelUser, sentinelPassword string

	learned atomic.Pointer[topology] // the masters of a cluster, once found: the seeds may all be gone one day
}

// parse reads REDIS_URL or REDIS_URLS. Its errors name the setting and what is wrong, never a part of the value that
// could be a password: a password with an unescaped "/" or "@" turns up in any part of a URL.
func parse(o Options) (*target, error) {
	switch {
	case o.URL != "" && o.URLs != "":
		return nil, errors.New("redis: both REDIS_URL and REDIS_URLS are set: a single Redis or a Redis Cluster?")
	case o.URL == "" && o.URLs == "":
		return nil, errors.New("redis: neither REDIS_URL nor REDIS_URLS is set")
	case o.URL != "":
		return parseSingle(o.URL)
	}
	return parseCluster(o.URLs)
}

func parseSingle(text string) (*target, error) {
	u, config, err := split("REDIS_URL", text)
	if err != nil {
		return nil, err
	}
	if u.Query().Has("master_name") {
		f, err := goredis.ParseFailoverURL(u.String())
		if err != nil || f.MasterName == "" {
			return nil, malformed("REDIS_URL")
		}
		return &target{shape: sentinel, seeds: f.SentinelAddrs, master: f.MasterName, user: f.Username, password: f.Password,
			sentinelUser: f.SentinelUsername, sentinelPassword: f.SentinelPassword, db: f.DB, tls: withCA(f.TLSConfig, config)}, nil
	}
	r, err := goredis.ParseURL(u.String())
	if err != nil {
		return nil, malformed("REDIS_URL")
	}
	return &target{shape: standalone, seeds: []string{r.Addr}, user: r.Username, password: r.Password, db: r.DB,
		tls: withCA(r.TLSConfig, config)}, nil
}

func parseCluster(text string) (*target, error) {
	t := &target{shape: cluster}
	for i, each := range strings.Split(text, ",") {
		u, config, err := split("REDIS_URLS", strings.TrimSpace(each))
		if err != nil {
			return nil, err
		}
		r, err := goredis.ParseURL(u.String())
		if err != nil {
			return nil, malformed("REDIS_URLS")
		}
		if r.DB != 0 {
			return nil, errors.New("redis: REDIS_URLS names a database: a Redis Cluster has only number 0")
		}
		if i > 0 && (r.TLSConfig != nil) != (t.tls != nil) {
			return nil, errors.New("redis: REDIS_URLS mixes redis:// and rediss://")
		}
		if r.Password != "" || i == 0 { // one log-in for all: it may stand in any of them
			t.user, t.password = r.Username, r.Password
		}
		if i == 0 || config != nil {
			t.tls = withCA(r.TLSConfig, config)
		}
		t.seeds = append(t.seeds, r.Addr)
	}
	return t, nil
}

// malformed says as much as can be said of a URL without showing it.
func malformed(setting string) error {
	return fmt.Errorf("redis: %s is not of the form redis://user:password@host:port/db, or has an unknown option", setting)
}

// split parses a URL and takes our own option out of it: tls_ca, a file of the authorities to trust.
func split(setting, text string) (*url.URL, *x509.CertPool, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, nil, fmt.Errorf("redis: %s is not a URL (in a password, escape what is not a letter or a digit as %%xx)", setting)
	}
	if !slices.Contains([]string{"redis", "rediss"}, u.Scheme) || u.Host == "" {
		return nil, nil, fmt.Errorf("redis: %s must begin with redis://host or rediss://host", setting)
	}
	query := u.Query()
	file := query.Get("tls_ca")
	if file == "" {
		return u, nil, nil
	}
	if u.Scheme != "rediss" {
		return nil, nil, fmt.Errorf("redis: %s has tls_ca but no TLS: write rediss://", setting)
	}
	query.Del("tls_ca")
	u.RawQuery = query.Encode()
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("redis: %s: tls_ca: %w", setting, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("redis: %s: tls_ca: %s holds no certificate", setting, file)
	}
	return u, pool, nil
}

func withCA(config *tls.Config, pool *x509.CertPool) *tls.Config {
	if config != nil {
		config.ServerName, config.RootCAs, config.MinVersion = "", pool, tls.VersionTLS12
	}
	return config
}

// connect opens a connection, with TLS where it is asked for.
func (t *target) connect(ctx context.Context, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil || t.tls == nil {
		return c, err
	}
	config := t.tls.Clone()
	config.ServerName, _, _ = net.SplitHostPort(addr)
	secure := tls.Client(c, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return secure, nil
}
