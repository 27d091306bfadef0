package main

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/fastport/fastport/dataplane"
)

// between is where other nodes send files to this one.
type between struct {
	plane    *dataplane.Plane
	listener net.Listener
	address  string // what they dial
}

// openBetween opens the data plane of a node of a cluster.
func openBetween(c *Config, log *slog.Logger) (*between, error) {
	secret, err := clusterSecret(c)
	if err != nil {
		return nil, err
	}
	key, err := dataplane.NewKey(secret)
	if err != nil {
		return nil, err
	}
	ln, err := listen(c.Host, c.ClusterPort, "CLUSTER_PORT")
	if err != nil {
		return nil, err
	}
	b := &between{plane: dataplane.New(key, log), listener: ln, address: clusterAddress(c, ln.Addr().(*net.TCPAddr).Port)}
	log.Info("files of other nodes are taken", slog.String("address", b.address))
	return b, nil
}

// clusterSecret is CLUSTER_SECRET, or comes of MASTER_KEY, and is then no help to find that.
func clusterSecret(c *Config) (string, error) {
	if c.ClusterSecret != "" {
		return c.ClusterSecret.Reveal(), nil
	}
	b, err := hkdf.Key(sha256.New, []byte(c.MasterKey.Reveal()), nil, "fastport/2/cluster", 32)
	if err != nil {
		return "", fmt.Errorf("cannot derive CLUSTER_SECRET from MASTER_KEY: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// clusterAddress is what other nodes dial: CLUSTER_ADDRESS, HOST where that is one address, else the address of this
// machine that faces Redis, as the other nodes do too.
func clusterAddress(c *Config, port int) string {
	host := c.ClusterAddress
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	if ip, err := netip.ParseAddr(c.Host); host == "" && err == nil && !ip.IsUnspecified() {
		host = c.Host
	}
	if host == "" {
		host = facing(redisHosts(c))
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// redisHosts are the addresses in REDIS_URL or REDIS_URLS.
func redisHosts(c *Config) (hosts []string) {
	for _, address := range append(commaList(c.RedisURL.Reveal()), commaList(c.RedisURLs.Reveal())...) {
		if u, err := url.Parse(address); err == nil && u.Host != "" {
			hosts = append(hosts, u.Host)
		}
	}
	return hosts
}

// facing is the address by which this machine would reach the first of the hosts that can be. Nothing is sent.
func facing(hosts []string) string {
	for _, host := range hosts {
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(host, "6379")
		}
		conn, err := net.Dial("udp", host)
		if err != nil {
			continue
		}
		defer conn.Close()
		return conn.LocalAddr().(*net.UDPAddr).IP.String()
	}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	return "127.0.0.1"
}
