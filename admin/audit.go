package admin

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// What operators do, as audits name it.
const (
	ActionLogin         = "login"
	ActionLogout        = "logout"
	ActionLogoutAll     = "logout.everywhere"
	ActionCreateSession = "session.create"
	ActionDropSession   = "session.drop"
	ActionSuspend       = "session.suspend"
	ActionResume        = "session.resume"
	ActionDrain         = "node.drain"
	ActionWatch         = "trace.watch"
	ActionUnwatch       = "trace.end"
)

// Audit records what the operator of a request did to a target, and what came of it: in the log, under the logger name
// "audit", and in the store, where every node finds it. Requests of others are no operator's and pass by.
func (a *Admin) Audit(c echo.Context, action, target string, err error) {
	if user := User(c); user != "" {
		a.audit(c.Request(), user, action, target, err)
	}
}

func (a *Admin) audit(r *http.Request, user, action, target string, err error) {
	result := storage.AuditOK
	if err != nil {
		result = string(codeOf(err))
	}
	stranger := user != a.cfg.User
	if stranger {
		user = "unknown" // it may be a password in the wrong field
	}
	record := storage.Audit{User: user, Action: action, Target: target, From: a.cfg.ClientAddr(r).String(), Node: a.cfg.NodeID, Result: result}
	level := slog.LevelInfo
	if err != nil {
		level = slog.LevelWarn
	}
	// First the log: it is there whatever becomes of the store.
	a.audits.LogAttrs(r.Context(), level, "an operator's action", slog.String("user", record.User), slog.String("action", record.Action),
		slog.String("target", record.Target), slog.String("from", record.From), slog.String("result", record.Result))
	if stranger {
		return // the log is enough for whoever guesses at names
	}
	// What is done is done, also where the operator does not wait for the answer.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeTimeout)
	defer cancel()
	if err := a.cfg.Store.SaveAudit(ctx, record); err != nil {
		a.log.Error("admin: an audit is in the log alone", slog.Any("cause", err))
	}
}

// AuditInfo is an audit as operators see it.
type AuditInfo struct {
	ID     int64  `json:"id"`
	At     int64  `json:"at"` // ms
	User   string `json:"user"`
	Action string `json:"action"`
	Target string `json:"target"`
	From   string `json:"from"`
	Node   string `json:"node"`
	Result string `json:"result"`
}

// listAudits answers a page: ?before=ID&limit=N, the newest first, and next to ask for the page behind it.
func (a *Admin) listAudits(c echo.Context) error {
	limit, err := pageLimit(c)
	if err != nil {
		return err
	}
	before := int64(0)
	if text := c.QueryParam("before"); text != "" {
		if before, err = strconv.ParseInt(text, 10, 64); err != nil || before < 1 {
			return protocol.Errorf(protocol.BadRequest, "before: takes the id of an audit")
		}
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), storeTimeout)
	defer cancel()
	list, err := a.cfg.Store.Audits(ctx, before, limit+1)
	if err != nil {
		return a.storeFailed("audits", err)
	}
	var next *int64
	if len(list) > limit {
		list = list[:limit]
		next = &list[limit-1].ID
	}
	page := make([]AuditInfo, len(list))
	for i, e := range list {
		page[i] = AuditInfo{e.ID, e.At.UnixMilli(), e.User, e.Action, e.Target, e.From, e.Node, e.Result}
	}
	return c.JSON(http.StatusOK, map[string]any{"success": true, "audits": page, "next": next})
}

func (a *Admin) storeFailed(doing string, err error) error {
	a.log.Error("admin: the store failed", slog.String("doing", doing), slog.Any("cause", err))
	return unavailable()
}

// pageLimit is ?limit=N, from 1 to maxPageSize.
func pageLimit(c echo.Context) (int, error) {
	text := c.QueryParam("limit")
	if text == "" {
		return pageSize, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPageSize {
		return 0, protocol.Errorf(protocol.BadRequest, "limit: takes a whole number from 1 to "+strconv.Itoa(maxPageSize))
	}
	return n, nil
}

func ms(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.UnixMilli()
	return &n
}
