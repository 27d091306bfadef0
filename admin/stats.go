package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/storage"
)

// Stats answers GET /stats: the whole cluster's figures, and each node's.
type Stats struct {
	Success             bool        `json:"success"`
	ActiveSessions      int64       `json:"activeSessions"`
	TotalConnections    int64       `json:"totalConnections"`
	Uptime              int64       `json:"uptime"` // seconds, of the oldest node
	MemoryUsage         MemoryUsage `json:"memoryUsage"`
	Publishes           float64     `json:"publishesPerSecond"`
	Deliveries          float64     `json:"deliveriesPerSecond"`
	AckP50              float64     `json:"ackP50Ms"` // of the node where it is highest: the cluster's own lies below
	AckP99              float64     `json:"ackP99Ms"`
	DeliveryP50         float64     `json:"deliveryP50Ms"`
	DeliveryP99         float64     `json:"deliveryP99Ms"`
	Pending             int64       `json:"pending"`
	OutboxBytes         int64       `json:"outboxBytes"`
	ReadyNodes          int         `json:"readyNodes"`
	StoredMessages      int64       `json:"storedMessages"`
	StoredBytes         int64       `json:"storedBytes"`
	StoredSubscriptions int64       `json:"storedSubscriptions"`
	Nodes               []NodeStats `json:"nodes"`
}

// MemoryUsage is in bytes.
type MemoryUsage struct {
	HeapUsed  uint64 `json:"heapUsed"`
	HeapTotal uint64 `json:"heapTotal"`
}

// NodeStats is one node of Stats.
type NodeStats struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Address string `json:"address"` // of its data plane; "": it has none
	Uptime  int64  `json:"uptime"`  // seconds
	Ready   bool   `json:"ready"`
	Figures
}

func (a *Admin) stats(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), storeTimeout)
	defer cancel()
	totals, err := a.cfg.Store.Totals(ctx)
	if err != nil {
		return a.storeFailed("totals", err)
	}
	return c.JSON(http.StatusOK, a.readStats(ctx, totals))
}

// readStats adds up what the living nodes say of themselves.
func (a *Admin) readStats(ctx context.Context, totals storage.Totals) Stats {
	s := Stats{
		Success:             true,
		ActiveSessions:      totals.Sessions,
		StoredMessages:      totals.Messages,
		StoredBytes:         totals.Bytes,
		StoredSubscriptions: totals.Subscriptions,
		Nodes:               a.nodes(ctx),
	}
	for _, n := range s.Nodes {
		s.TotalConnections += n.Connections
		s.MemoryUsage.HeapUsed += n.HeapUsed
		s.MemoryUsage.HeapTotal += n.HeapTotal
		s.Uptime = max(s.Uptime, n.Uptime)
		s.Publishes += n.Publishes
		s.Deliveries += n.Deliveries
		s.Pending += n.Pending
		s.OutboxBytes += n.OutboxBytes
		s.AckP50, s.AckP99 = max(s.AckP50, n.AckP50), max(s.AckP99, n.AckP99)
		s.DeliveryP50, s.DeliveryP99 = max(s.DeliveryP50, n.DeliveryP50), max(s.DeliveryP99, n.DeliveryP99)
		if n.Ready {
			s.ReadyNodes++
		}
	}
	return s
}

// errLarge: figures beyond MaxFigures.
var errLarge = errors.New("admin: figures are too large")

// nodes is the living nodes: this one as it is now, the others as their last heartbeats said. Where the backplane is
// out, this one is all that is known.
func (a *Admin) nodes(ctx context.Context) []NodeStats {
	living, err := a.cfg.Backplane.Nodes(ctx)
	if err != nil {
		a.log.Warn("admin: nodes could not be listed", slog.Any("cause", err))
	}
	self := backplane.Node{ID: a.cfg.NodeID, Version: a.cfg.Version, Started: a.cfg.Started}
	var nodes []NodeStats
	for _, n := range living {
		if n.ID == a.cfg.NodeID {
			self.Address = n.Address
			continue
		}
		var figures Figures
		if err := figures.decode(n.Figures); err != nil {
			a.log.Warn("admin: a node's figures are unreadable", slog.String("node", n.ID), slog.Any("cause", err))
		}
		nodes = append(nodes, nodeStats(n, figures))
	}
	nodes = append(nodes, nodeStats(self, a.cfg.Figures()))
	slices.SortFunc(nodes, func(x, y NodeStats) int { return strings.Compare(x.ID, y.ID) })
	return nodes
}

func nodeStats(n backplane.Node, f Figures) NodeStats {
	if f.Faults == nil {
		f.Faults = []string{}
	}
	if f.Degraded == nil {
		f.Degraded = []string{}
	}
	return NodeStats{ID: n.ID, Version: n.Version, Address: n.Address, Uptime: uptime(n.Started), Ready: len(f.Faults) == 0, Figures: f}
}

// uptime may rest on another host's clock: it is shown, and decides nothing.
func uptime(started time.Time) int64 { return max(0, int64(time.Since(started)/time.Second)) }
