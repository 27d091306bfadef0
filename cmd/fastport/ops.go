package main

import (
	"errors"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/fastport/fastport/api"
	"github.com/fastport/fastport/protocol"
)

// serveOps serves what is for operators on METRICS_PORT: health, readiness, metrics, pprof.
func (n *Node) serveOps() error {
	ln, err := listen(n.config.Host, n.config.MetricsPort, "METRICS_PORT")
	if err != nil {
		return err
	}
	n.opsAddr = ln.Addr()
	mux := http.NewServeMux()
	health := api.HealthHandler(n.health)
	mux.Handle("/healthz", health)
	mux.Handle("/readyz", health)
	mux.HandleFunc("GET /metrics", n.serveMetrics)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	n.ops = &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: protocol.HeaderTimeout,
		MaxHeaderBytes:    protocol.MaxHeaderBytes,
		IdleTimeout:       time.Minute,
	}
	n.goRun("metrics port", func() error {
		if err := n.ops.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return nil
}
