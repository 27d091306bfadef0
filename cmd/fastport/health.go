package main

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/api"
	"github.com/fastport/fastport/storage"
)

// What a node can lack. Each is a word of /readyz, a label of the metrics and a word of the log, and never another.
const (
	faultDraining  = "draining"
	faultDisk      = "disk_full"
	faultBackplane = "backplane" // this node's own end of it is deaf

	degradedStore     = "store"
	degradedBackplane = "backplane" // out of reach, for all nodes or for this one
)

var (
	faults   = []string{faultDraining, faultDisk, faultBackplane}
	degraded = []string{degradedStore, degradedBackplane}
)

const (
	probeTimeout = time.Second
	probeEvery   = time.Second
)

// watch is how the store does, as found out once a second: whoever asks for the node's health waits for nothing.
type watch struct {
	storeDown atomic.Bool
}

// watchHealth asks the store and tells the log of changes, until ctx is done.
func (n *Node) watchHealth(ctx context.Context) error {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	var last api.Health
	for {
		n.watch.storeDown.Store(!n.storeAnswers(ctx))
		h := n.health()
		if !slices.Equal(h.Faults, last.Faults) || !slices.Equal(h.Degraded, last.Degraded) {
			attrs := []any{slog.Any("faults", h.Faults), slog.Any("degraded", h.Degraded)}
			if err := n.plane.Fault(); err != nil {
				attrs = append(attrs, slog.Any("cause", err))
			}
			n.log.Warn("health changed", attrs...)
			last = h
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (n *Node) storeAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err := n.store.Now(ctx)
	return err == nil || context.Cause(ctx) == context.Canceled // the node is stopping
}

// health tells how the node does. A store or a backplane that is down is no fault of this node alone: taking it out of
// service would help nobody.
func (n *Node) health() api.Health {
	h := api.Health{Faults: []string{}, Degraded: []string{}}
	if n.draining.Load() {
		h.Faults = append(h.Faults, faultDraining)
		return h // the store may be closed by now
	}
	if disk, ok := n.store.(storage.Disk); ok && disk.Full() {
		h.Faults = append(h.Faults, faultDisk)
	}
	if n.watch.storeDown.Load() {
		h.Degraded = append(h.Degraded, degradedStore)
	}
	switch {
	case n.plane.Fault() != nil:
		h.Faults = append(h.Faults, faultBackplane)
	case !n.engine.Linked():
		h.Degraded = append(h.Degraded, degradedBackplane)
	}
	return h
}
