package main

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
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

// parseURLs is parseURL for one address, or for several of one cluster with commas between them.
func parseURLs(text string) (string, error) {
	var list []string
	for one := range strings.SplitSeq(text, ",") {
		base, err := parseURL(strings.TrimSpace(one))
		if err != nil {
			return "", err
		}
		list = append(list, base)
	}
	return strings.Join(list, ","), nil
}

// reachable is the first of several servers that takes a connection, or the first of all where none does.
func reachable(ctx context.Context, urls string) string {
	list := strings.Split(urls, ",")
	if len(list) == 1 {
		return urls
	}
	for _, base := range list {
		u, err := url.Parse(base)
		if err != nil {
			continue
		}
		port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
		d := net.Dialer{Timeout: reachTimeout}
		if c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port)); err == nil {
			c.Close()
			return base
		}
	}
	return list[0]
}

const reachTimeout = 3 * time.Second

// socketURLs is where the WebSockets of servers are.
func socketURLs(urls string) []string {
	list := strings.Split(urls, ",")
	for i, base := range list {
		list[i] = socketURL(base)
	}
	return list
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
