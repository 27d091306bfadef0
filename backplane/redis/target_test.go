package redis

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fastport/fastport/internal/daemon"
	"github.com/fastport/fastport/internal/testenv"
)

func TestParse_EveryForm(t *testing.T) {
	for _, test := range []struct {
		options        Options
		shape          shape
		seeds          string
		user, password string
		db             int
		tls            bool
	}{
		{Options{URL: "redis://h"}, standalone, "h:6379", "", "", 0, false},
		{Options{URL: "redis://:p%2Fw@h:1/3"}, standalone, "h:1", "", "p/w", 3, false},
		{Options{URL: "rediss://u:p@[::1]:2"}, standalone, "[::1]:2", "u", "p", 0, true},
		{Options{URL: "redis://s:sp@h:1/2?master_name=m&addr=h2:2&username=u&password=p"}, sentinel, "h:1 h2:2", "u", "p", 2, false},
		{Options{URLs: "redis://u:p@h:1, redis://h2:2"}, cluster, "h:1 h2:2", "u", "p", 0, false},
		{Options{URLs: "redis://h:1"}, cluster, "h:1", "", "", 0, false},
	} {
		got, err := parse(test.options)
		if err != nil {
			t.Errorf("%+v: %v", test.options, err)
			continue
		}
		if got.shape != test.shape || strings.Join(got.seeds, " ") != test.seeds || got.user != test.user ||
			got.password != test.password || got.db != test.db || (got.tls != nil) != test.tls {
			t.Errorf("%+v: got %+v", test.options, got)
		}
	}
	got, _ := parse(Options{URL: "redis://s:sp@h:1?master_name=m"})
	if got.sentinelUser != "s" || got.sentinelPassword != "sp" || got.master != "m" {
		t.Errorf("sentinel: %+v", got)
	}
}

func TestParse_ErrorsNameTheSettingAndNeverThePassword(t *testing.T) {
	const secret = "hunter2"
	for _, o := range []Options{
		{}, {URL: "redis://h", URLs: "redis://h"},
		{URL: "redis://:" + secret + "/x@h:6379/0"}, {URL: "redis://:12/" + secret + "@h/0"}, {URL: "redis://:" + secret + "@h/" + secret},
		{URL: "http://:" + secret + "@h"}, {URL: "redis://:" + secret + "@"}, {URL: "redis://:" + secret + "@h?unknown=" + secret},
		{URL: "redis://:" + secret + "@h:x"}, {URL: "redis://%zz" + secret + "@h"}, {URL: secret},
		{URL: "redis://:" + secret + "@h?tls_ca=/nowhere"}, {URL: "rediss://:" + secret + "@h?tls_ca=/nowhere"},
		{URL: "redis://:" + secret + "@h?master_name="}, {URL: "redis://h?master_name=m&password=" + secret + "&addr=" + secret},
		{URLs: "redis://:" + secret + "@h:1,redis://:" + secret + "@h:x"}, {URLs: "redis://:" + secret + "@h/1"}, {URLs: "redis://h,,"},
		{URLs: "redis://:" + secret + "@h,rediss://h"},
	} {
		o.NodeID = "n"
		b, err := Open(t.Context(), o)
		if err == nil {
			b.Close()
			t.Errorf("%+v was taken", o)
			continue
		}
		if !strings.Contains(err.Error(), "REDIS_URL") || strings.Contains(err.Error(), secret) {
			t.Errorf("%+v: %q: want the setting's name and no part of its value", o, err)
		}
	}
}

func TestOpen_OverTLSWithAPassword(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority := certificate(t, dir)
	addr, err := daemon.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(addr)
	testenv.StartRedis(t, "--tls-port", port, "--tls-cert-file", authority, "--tls-key-file", filepath.Join(dir, "key"),
		"--tls-auth-clients", "no", "--requirepass", "p/w@1")
	u := url.URL{Scheme: "rediss", User: url.UserPassword("default", "p/w@1"), Host: addr, RawQuery: "tls_ca=" + url.QueryEscape(authority)}
	a, b := listen(t, Options{URL: u.String()}, "a"), listen(t, Options{URL: u.String()}, "b")
	b.join(topic(1))
	pass(t, a, b, "sealed")
	renew(t, a)

	u.RawQuery = "" // the system's authorities do not know this one
	c, err := Open(t.Context(), Options{URL: u.String(), NodeID: "c"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Stats().Up {
		t.Error("a server that nobody vouches for was trusted")
	}
}

// certificate makes a server's certificate for 127.0.0.1 that is its own authority.
func certificate(t *testing.T, dir string) (file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "cert")
	for name, block := range map[string]*pem.Block{file: {Type: "CERTIFICATE", Bytes: der}, filepath.Join(dir, "key"): {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}
