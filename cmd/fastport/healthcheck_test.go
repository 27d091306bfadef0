package main

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func readyz(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
		w.Write([]byte(body))
	}
}

func TestHealthcheck_FailsUnlessTheBrokerIsReady(t *testing.T) {
	ready := httptest.NewServer(readyz(200, "{}"))
	defer ready.Close()
	draining := httptest.NewServer(readyz(503, `{"error":"draining"}`))
	defer draining.Close()
	moved := httptest.NewServer(http.RedirectHandler(ready.URL+"/readyz", http.StatusFound))
	defer moved.Close()
	for address, want := range map[string]int{ready.URL: exitOK, ready.URL + "/readyz": exitOK, draining.URL: exitFailure, moved.URL: exitFailure} {
		if code, _, told := call(t, nil, "", "healthcheck", address); code != want {
			t.Errorf("%s: exit code %d, want %d: %s", address, code, want, told)
		}
	}
	if _, _, told := call(t, nil, "", "healthcheck", draining.URL); !strings.Contains(told, "503") || !strings.Contains(told, "draining") {
		t.Errorf("told %q, want the status and what the broker says", told)
	}
}

func TestHealthcheck_FindsTheBrokerOfTheSameEnvironment(t *testing.T) {
	plain := httptest.NewServer(readyz(200, "{}"))
	defer plain.Close()
	sealed := httptest.NewUnstartedServer(readyz(200, "{}"))
	sealed.Config.ErrorLog = log.New(io.Discard, "", 0) // of the client that does not trust it
	sealed.StartTLS()
	defer sealed.Close()
	port := func(s *httptest.Server) string {
		_, port, err := net.SplitHostPort(s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	for name, vars := range map[string]environment{
		"port":         {"PORT": port(plain)},
		"metrics port": {"PORT": "1", "METRICS_PORT": port(plain)},
		"tls":          {"PORT": port(sealed), "TLS_CERT": "cert.pem"},
		"url":          {"PORT": "1", "FASTPORT_URL": plain.URL},
	} {
		if code, _, told := call(t, vars, "", "healthcheck"); code != exitOK {
			t.Errorf("%s: exit code %d: %s", name, code, told)
		}
	}
	// Another machine's certificate is verified.
	if code, _, _ := call(t, nil, "", "healthcheck", sealed.URL); code != exitFailure {
		t.Error("an unknown certificate is taken")
	}
}

func TestHealthcheck_GivesUpInTime(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	began := time.Now()
	code, _, told := call(t, nil, "", "healthcheck", "http://"+silent.Addr().String(), "--timeout", "100ms")
	if code != exitFailure || !strings.Contains(told, "in time") || time.Since(began) > 5*time.Second {
		t.Errorf("exit code %d after %v: %s", code, time.Since(began), told)
	}
}
