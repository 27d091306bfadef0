package main

import (
	"net/netip"
	"net/url"
	"strings"
)

// defaultURL is where `fastport serve` listens if it is told nothing.
const defaultURL = "http://127.0.0.1:3000"

// parseURL takes a server's address with http, https, ws or wss, and gives the HTTP one, without a slash at its end.
func parseURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err == nil {
		u.Scheme = map[string]string{"http": "http", "ws": "http", "https": "https", "wss": "https"}[u.Scheme]
	}
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", usagef("%q is no address of a broker: it takes one like %s or https://broker.example.com", text, defaultURL)
	}
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/ws")
	return u.String(), nil
}

// socketURL is where the WebSocket of a server is.
func socketURL(base string) string { return "ws" + strings.TrimPrefix(base, "http") + "/ws" }

// readable reports whether others on the way can read what is sent to the server: no TLS, and not this machine.
func readable(base string) bool {
	u, err := url.Parse(base)
	if err != nil || u.Scheme == "https" || u.Hostname() == "localhost" {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return err != nil || !addr.IsLoopback()
}
