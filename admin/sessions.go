package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
)

// SessionDetail answers GET /sessions/:name.
type SessionDetail struct {
	Success bool `json:"success"`
	SessionInfo
	Usage UsageInfo      `json:"usage"`
	Nodes []SessionNode  `json:"nodes"` // that hold something of it
	Push  PushInfo       `json:"pushState"`
	Live  SessionNodeSum `json:"live"`
}

// UsageInfo is what a session has in the store.
type UsageInfo struct {
	Topics        int64 `json:"topics"`
	Subscriptions int64 `json:"subscriptions"`
	Messages      int64 `json:"messages"`
	Bytes         int64 `json:"bytes"`
	Devices       int64 `json:"devices"`
	Users         int64 `json:"users"`
}

// PushInfo says whether and for what a session's users are woken; no key is in it.
type PushInfo struct {
	Configured bool   `json:"configured"`
	Enabled    bool   `json:"enabled"`
	ProjectID  string `json:"projectId"`
	Waiting    int64  `json:"waiting"` // messages that users may still have to be woken for
}

// SessionNode is what one node holds of a session.
type SessionNode struct {
	Node string `json:"node"`
	session.TenantStats
}

// SessionNodeSum is what all nodes hold of a session.
type SessionNodeSum struct {
	Connections int `json:"connections"`
	Nodes       int `json:"nodes"` // that answered
}

func (a *Admin) sessionDetail(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), storeTimeout)
	defer cancel()
	s, err := a.find(ctx, c.Param("name"))
	if err != nil {
		return err
	}
	usage, err := a.cfg.Store.Usage(ctx, s.ID)
	if err != nil {
		return a.storeFailed("usage", err)
	}
	d := SessionDetail{Success: true, SessionInfo: sessionInfo(s), Nodes: []SessionNode{},
		Usage: UsageInfo{usage.Topics, usage.Subscriptions, usage.Messages, usage.Bytes, usage.Devices, usage.Users},
		Push:  a.pushInfo(s, usage)}
	got, err := a.peers.ask(ctx, "", "session", s.ID)
	if err != nil {
		return err
	}
	for node, text := range got {
		n := SessionNode{Node: node}
		if json.Unmarshal(text, &n.TenantStats) != nil {
			continue
		}
		d.Live.Nodes++
		d.Live.Connections += n.Connections
		if n.TenantStats != (session.TenantStats{}) {
			d.Nodes = append(d.Nodes, n)
		}
	}
	sortBy(d.Nodes, func(n SessionNode) string { return n.Node })
	return c.JSON(http.StatusOK, d)
}

func (a *Admin) pushInfo(s storage.Session, usage storage.Usage) PushInfo {
	p := PushInfo{Configured: len(s.FCMConfig) > 0, Waiting: usage.Wakes}
	// nil also where it is turned off, or does not open: then nobody is woken.
	if f, err := a.cfg.Catalog.PushConfig(s.ID, s.FCMConfig); err == nil && f != nil {
		p.Enabled, p.ProjectID = true, f.ProjectID
	}
	return p
}

func (a *Admin) answerSession(_ context.Context, body json.RawMessage) (any, error) {
	var id string
	if err := json.Unmarshal(body, &id); err != nil {
		return nil, err
	}
	if a.cfg.Engine == nil {
		return session.TenantStats{}, nil
	}
	return a.cfg.Engine.TenantStats(id), nil
}

// DeviceInfo is a device that can be woken: never its token.
type DeviceInfo struct {
	User      string `json:"userId"`
	ID        string `json:"deviceId"`
	Platform  string `json:"platform"`
	CreatedAt int64  `json:"createdAt"` // ms
	UpdatedAt int64  `json:"updatedAt"`
}

// devices answers a page: ?afterUser=ID&afterDevice=ID&limit=N; more says that there is another page.
func (a *Admin) devices(c echo.Context) error {
	limit, err := pageLimit(c)
	if err != nil {
		return err
	}
	user, id := c.QueryParam("afterUser"), c.QueryParam("afterDevice")
	if len(user) > protocol.MaxNameBytes || len(id) > protocol.MaxNameBytes {
		return protocol.Errorf(protocol.BadRequest, "afterUser, afterDevice: take the last ids of the page before")
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), storeTimeout)
	defer cancel()
	s, err := a.find(ctx, c.Param("name"))
	if err != nil {
		return err
	}
	list, err := a.cfg.Store.SessionDevices(ctx, s.ID, user, id, limit+1)
	if err != nil {
		return a.storeFailed("devices", err)
	}
	more := len(list) > limit
	list = list[:min(len(list), limit)]
	page := make([]DeviceInfo, len(list))
	for i, d := range list {
		page[i] = DeviceInfo{d.User, d.ID, d.Platform, d.CreatedAt.UnixMilli(), d.UpdatedAt.UnixMilli()}
	}
	return c.JSON(http.StatusOK, map[string]any{"success": true, "devices": page, "more": more})
}

// Bounds of a page of a list.
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

// sessions answers a page: ?match=TEXT&after=NAME&limit=N, and next to ask for the page behind it.
func (a *Admin) sessions(c echo.Context) error {
	limit, err := pageLimit(c)
	if err != nil {
		return err
	}
	match, after := c.QueryParam("match"), c.QueryParam("after")
	if after != "" && !protocol.ValidSessionName(after) {
		return protocol.Errorf(protocol.BadRequest, "after: takes the name of a session")
	}
	if len(match) > protocol.MaxNameBytes {
		return protocol.Errorf(protocol.BadRequest, "match: takes a part of a session's name")
	}
	list, err := a.cfg.Catalog.List(c.Request().Context(), match, after, limit+1)
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

// sortBy sorts a list by a text of its entries.
func sortBy[T any](list []T, by func(T) string) {
	slices.SortFunc(list, func(x, y T) int { return strings.Compare(by(x), by(y)) })
}
