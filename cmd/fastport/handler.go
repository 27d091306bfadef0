package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/fastport/fastport/admin"
	"github.com/fastport/fastport/api"
	"github.com/fastport/fastport/gateway"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
)

// handler is what the public port answers besides WebSocket upgrades.
func (n *Node) handler(catalog *session.Catalog) http.Handler {
	c := n.config
	addr := func(r *http.Request) netip.Addr { return gateway.ClientAddr(r, c.TrustedProxies) }
	operator := admin.New(admin.Config{
		User: c.AdminUser, Pass: c.AdminPass.Reveal(),
		Store: n.store, Catalog: catalog, Backplane: n.plane, Logger: n.log,
		NodeID: n.id, Started: n.started,
		Figures:    func() admin.Figures { return admin.ReadFigures(n.engine.Stats().Connections) },
		ClientAddr: addr, Secure: n.secure,
	})
	return api.New(api.Config{
		Catalog: catalog, Publisher: backEnd{n.engine, n.log}, Counters: n.plane, Admin: operator, Logger: n.log,
		AdminCreatesOnly: c.SessionCreation == creationAdmin, RateLimit: c.APIRateLimit, MaxPayload: c.MaxPayload,
		CORSOrigins: c.CORSOrigins, Health: n.health, NoHealth: c.MetricsPort != noPort, ClientAddr: addr,
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

// backEnd is the engine as api sees it.
type backEnd struct {
	engine *session.Node
	log    *slog.Logger
}

var _ api.Publisher = backEnd{}

// Publish implements api.Publisher.
func (p backEnd) Publish(ctx context.Context, s storage.Session, f *protocol.ClientFrame) (uint64, error) {
	done, err := p.engine.Publish(ctx, s, session.Publication{
		Topic: string(f.Topic), MessageID: string(f.MessageID), Data: bytes.Clone(f.Data), Hash: string(f.Hash),
		Timestamp: f.Timestamp, HasTimestamp: f.HasTimestamp, Retry: f.Retry, AtMostOnce: f.QoS == 0,
	})
	var refused *protocol.Error
	if err != nil && !errors.As(err, &refused) {
		p.log.Warn("a publish was given up", slog.Any("error", err))
		err = protocol.Errorf(protocol.Unavailable, "not known to be stored: publish again with retry")
	}
	return done.Seq, err
}
