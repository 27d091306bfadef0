package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// nodeConfig is a Config for a node on free ports that keeps its files in a folder of the test's own.
func nodeConfig(t *testing.T, env map[string]string) *Config {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{
		"HOST": "127.0.0.1", "PORT": "0", "DB_TYPE": "memory",
		"SQLITE_PATH": filepath.Join(dir, "fastport.db"), "MASTER_KEY_FILE": filepath.Join(dir, "master.key"),
	}
	for name, value := range env {
		all[name] = value
	}
	c, err := loadFrom(t, nil, all, "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func startTestNode(t *testing.T, c *Config) *Node {
	t.Helper()
	n, err := startNode(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return n
}

func status(t *testing.T, client *http.Client, url string) (code int, body string) {
	t.Helper()
	res, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(raw)
}

// plain is an HTTP client that leaves no connection behind.
func plain() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
}

func TestNode_HealthIsOnTheOperatorsPortAloneWhereThereIsOne(t *testing.T) {
	n := startTestNode(t, nodeConfig(t, map[string]string{"METRICS_PORT": "0"}))
	for _, path := range []string{"/healthz", "/readyz", "/debug/pprof/cmdline"} {
		if code, body := status(t, plain(), n.OpsURL()+path); code != http.StatusOK {
			t.Errorf("operators' %s: %d %s", path, code, body)
		}
		if code, _ := status(t, plain(), n.URL()+path); code != http.StatusNotFound {
			t.Errorf("public %s: %d, want 404", path, code)
		}
	}
	alone := startTestNode(t, nodeConfig(t, nil))
	if code, _ := status(t, plain(), alone.URL()+"/readyz"); code != http.StatusOK {
		t.Errorf("public /readyz without METRICS_PORT: %d, want 200", code)
	}
	if code, _ := status(t, plain(), alone.URL()+"/debug/pprof/"); code != http.StatusNotFound {
		t.Errorf("public pprof: %d, want 404", code)
	}
}

func TestNode_TakenPortSaysWhichAndHowToFindWho(t *testing.T) {
	n := startTestNode(t, nodeConfig(t, nil))
	_, port, _ := net.SplitHostPort(n.Addr().String())
	for _, setting := range []string{"PORT", "METRICS_PORT"} {
		_, err := startNode(t.Context(), nodeConfig(t, map[string]string{setting: port}), slog.New(slog.DiscardHandler))
		for _, want := range []string{"port " + port + " is taken", "ss -ltnp", "lsof", "set " + setting} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: err = %v, want %q in it", setting, err, want)
			}
		}
	}
}

func TestNode_SeveralFitOneProcess(t *testing.T) {
	one, two := startTestNode(t, nodeConfig(t, nil)), startTestNode(t, nodeConfig(t, nil))
	if one.id == two.id {
		t.Errorf("both are %s", one.id)
	}
	for _, n := range []*Node{one, two} {
		if code, _ := status(t, plain(), n.URL()+"/healthz"); code != http.StatusOK {
			t.Errorf("%s: %d", n.URL(), code)
		}
	}
}

func TestNode_DrainLetsGoOfEverything(t *testing.T) {
	c := nodeConfig(t, map[string]string{"DB_TYPE": "sqlite", "METRICS_PORT": "0"})
	first := startTestNode(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := first.Drain(ctx); err != nil {
		t.Fatalf("drain: %v", err)
	}
	if h := first.health(); len(h.Faults) != 1 || h.Faults[0] != "draining" {
		t.Errorf("faults = %v, want draining", h.Faults)
	}
	_, port, _ := net.SplitHostPort(first.Addr().String())
	c.Port, _ = strconv.Atoi(port)
	startTestNode(t, c) // the same port, the same file
}

func TestNode_FailedStartLeavesNothing(t *testing.T) {
	c := nodeConfig(t, map[string]string{"DB_TYPE": "sqlite"})
	taken := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	c.Port, _ = strconv.Atoi(port)
	path := c.SQLitePath
	c.SQLitePath = filepath.Join(taken, "fastport.db")
	if _, err := startNode(t.Context(), c, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "SQLITE_PATH") {
		t.Fatalf("err = %v, want one that names SQLITE_PATH", err)
	}
	c.SQLitePath = path
	startTestNode(t, c)
}

func TestNode_ServesTLSAndNamesBadFiles(t *testing.T) {
	cert, key, pool := selfSigned(t)
	n := startTestNode(t, nodeConfig(t, map[string]string{"TLS_CERT": cert, "TLS_KEY": key}))
	client := plain()
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool}
	if !strings.HasPrefix(n.URL(), "https://") {
		t.Errorf("url = %s", n.URL())
	}
	if code, _ := status(t, client, n.URL()+"/healthz"); code != http.StatusOK {
		t.Errorf("healthz over TLS: %d", code)
	}
	_, err := startNode(t.Context(), nodeConfig(t, map[string]string{"TLS_CERT": key, "TLS_KEY": cert}), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "TLS_CERT=") {
		t.Errorf("err = %v, want one that names TLS_CERT", err)
	}
}

func selfSigned(t *testing.T) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	rawKey, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(certFile, certPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: rawKey}), 0o600); err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	return certFile, keyFile, pool
}
