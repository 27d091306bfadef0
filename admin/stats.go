package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/protocol"
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
		a.log.Error("admin: totals could not be read", slog.Any("cause", err))
		return unavailable()
	}
	stats := Stats{
		Success:             true,
		ActiveSessions:      totals.Sessions,
		StoredMessages:      totals.Messages,
		StoredBytes:         totals.Bytes,
		StoredSubscriptions: totals.Subscriptions,
		Nodes:               a.nodes(ctx),
	}
	for _, n := range stats.Nodes {
		stats.TotalConnections += n.Connections
		stats.MemoryUsage.HeapUsed += n.HeapUsed
		stats.MemoryUsage.HeapTotal += n.HeapTotal
		stats.Uptime = max(stats.Uptime, n.Uptime)
		stats.Publishes += n.Publishes
		stats.Deliveries += n.Deliveries
		stats.Pending += n.Pending
		stats.OutboxBytes += n.OutboxBytes
		stats.AckP50, stats.AckP99 = max(stats.AckP50, n.AckP50), max(stats.AckP99, n.AckP99)
		if n.Ready {
			stats.ReadyNodes++
		}
	}
	return c.JSON(http.StatusOK, stats)
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

// Bounds of a page of sessions.
const (
	pageSize    = 50
	maxPageSize = 500
)

// SessionInfo is a session as operators see it: nothing that opens it, or anything in it.
type SessionInfo struct {
	SessionName        string `json:"sessionName"`
	Suspended          bool   `json:"suspended"`
	CreatedAt          int64  `json:"createdAt"` // ms
	ExpiresAt          *int64 `json:"expiresAt"` // ms; null: never
	RetryInterval      int64  `json:"retryInterval"`
	MaxRetryLimit      int    `json:"maxRetryLimit"`
	MessageExpiryTime  *int64 `json:"messageExpiryTime"` // null: the server's cap
	SubscriptionExpiry int64  `json:"subscriptionExpiry"`
	Suite              int    `json:"suite"`
	Push               bool   `json:"push"` // has an FCM configuration
}

// sessions answers a page: ?after=NAME&limit=N, and next to ask for the page behind it.
func (a *Admin) sessions(c echo.Context) error {
	limit := pageSize
	if text := c.QueryParam("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPageSize {
			return protocol.Errorf(protocol.BadRequest, "limit: takes a whole number from 1 to "+strconv.Itoa(maxPageSize))
		}
		limit = n
	}
	after := c.QueryParam("after")
	if after != "" && !protocol.ValidSessionName(after) {
		return protocol.Errorf(protocol.BadRequest, "after: takes the name of a session")
	}
	list, err := a.cfg.Catalog.List(c.Request().Context(), c.QueryParam("match"), after, limit+1)
	if err != nil {
		return err
	}
	var next *string
	if len(list) > limit {
		list = list[:limit]
		next = &list[limit-1].Name
	}
	page := make([]SessionInfo, len(list))
	for i, s := range list {
		page[i] = sessionInfo(s)
	}
	return c.JSON(http.StatusOK, map[string]any{"success": true, "sessions": page, "next": next})
}

func sessionInfo(s storage.Session) SessionInfo {
	info := SessionInfo{
		SessionName:        s.Name,
		Suspended:          s.Suspended,
		CreatedAt:          s.CreatedAt.UnixMilli(),
		RetryInterval:      s.RetryInterval.Milliseconds(),
		MaxRetryLimit:      s.MaxRetryLimit,
		SubscriptionExpiry: s.SubscriptionExpiry.Milliseconds(),
		Suite:              s.Suite,
		Push:               len(s.FCMConfig) > 0,
	}
	if !s.ExpiresAt.IsZero() {
		ms := s.ExpiresAt.UnixMilli()
		info.ExpiresAt = &ms
	}
	if s.MessageExpiry != 0 {
		ms := s.MessageExpiry.Milliseconds()
		info.MessageExpiryTime = &ms
	}
	return info
}
