package main

import (
	"net/http"
	"slices"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/fcm"
	"github.com/fastport/fastport/metrics/prometheus"
	"github.com/fastport/fastport/session"
)

// serveMetrics answers /metrics.
func (n *Node) serveMetrics(w http.ResponseWriter, r *http.Request) { n.metrics.ServeHTTP(w, r) }

// metricsHandler shows what the node's parts count.
func (n *Node) metricsHandler(catalog *session.Catalog, pusher *fcm.Pusher) http.Handler {
	plane, _ := n.plane.(backplane.Metered)
	return prometheus.Handler(prometheus.Sources{
		Version: buildVersion(), Engine: n.engine, Gateway: n.server, Catalog: catalog, Pusher: pusher, Store: n.store, Plane: plane,
		HTTP: n.refused, Health: n.healthWords,
	})
}

// healthWords is health with every word that there is.
func (n *Node) healthWords() prometheus.Health {
	h := n.health()
	return prometheus.Health{Faults: among(faults, h.Faults), Degraded: among(degraded, h.Degraded)}
}

// among says of each word whether it is in the list.
func among(words, list []string) map[string]bool {
	all := make(map[string]bool, len(words))
	for _, word := range words {
		all[word] = slices.Contains(list, word)
	}
	return all
}
