package main

import (
	"net/http"
	"net/netip"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/api"
	"github.com/fastport/fastport/gateway"
	"github.com/fastport/fastport/session"
)

// handler is what the public port answers besides WebSocket upgrades.
func (n *Node) handler(catalog *session.Catalog) http.Handler {
	c := n.config
	addr := func(r *http.Request) netip.Addr { return gateway.ClientAddr(r, c.TrustedProxies) }
	operator := admin.New(admin.Config{
		User: c.AdminUser, Pass: c.AdminPass.Reveal(),
		Store: n.store, Catalog: catalog, Backplane: n.plane, Logger: n.log,
		NodeID: n.id, Version: buildVersion(), Started: n.started, Figures: n.figures,
		Engine: n.engine, Logs: n.logs, Portal: c.WebPortal,
		Drain:      func() { n.askOnce.Do(func() { close(n.asked) }) },
		ClientAddr: addr, Secure: n.secure,
	})
	n.operator.Store(operator)
	return api.New(api.Config{
		Catalog: catalog, Publisher: n.engine, Counters: n.plane, Admin: operator, Logger: n.log,
		AdminCreatesOnly: c.SessionCreation == creationAdmin, RateLimit: c.APIRateLimit, MaxPayload: c.MaxPayload,
		CORSOrigins: c.CORSOrigins, Health: n.health, Metrics: http.HandlerFunc(n.serveMetrics), NoHealth: c.MetricsPort != noPort,
		Refused: n.refused, ClientAddr: addr,
	})
}

// secure reports whether a request came over TLS, to a trusted proxy perhaps.
func (n *Node) secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	peer := gateway.ParseAddr(r.RemoteAddr)
	for _, proxy := range n.config.TrustedProxies {
		if proxy.Contains(peer) {
			return r.Header.Get("X-Forwarded-Proto") == "https"
		}
	}
	return false
}
