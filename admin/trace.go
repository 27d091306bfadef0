package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
)

const (
	watchFor  = 10 * time.Minute // unless it is said otherwise
	traceMost = 300              // events of a node in one answer
)

// Engine is what a node's memory has for operators.
type Engine interface {
	TenantStats(sessionID string) session.TenantStats
	Watch(sessionID, messageID string, d time.Duration) bool
	Unwatch(sessionID, messageID string)
	Watched(sessionID, messageID string) time.Duration
	Traced(sessionID, messageID string, after uint64, limit int) []session.Event
}

// traceQuery asks a node for what it noted of a session's messages, or of one of them.
type traceQuery struct {
	Session   string        `json:"session"` // storage.Session.ID
	MessageID string        `json:"messageId"`
	After     uint64        `json:"after,omitempty"`
	Limit     int           `json:"limit,omitempty"`
	Watch     time.Duration `json:"watch,omitempty"`
	End       bool          `json:"end,omitempty"`
}

type traceAnswer struct {
	Events []session.Event `json:"events"`
	Left   time.Duration   `json:"left"` // it is watched for so long yet
	Full   bool            `json:"full,omitempty"`
}

func (a *Admin) answerTrace(_ context.Context, body json.RawMessage) (any, error) {
	var q traceQuery
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	n := a.cfg.Engine
	if n == nil {
		return traceAnswer{}, nil
	}
	var answer traceAnswer
	switch {
	case q.End:
		n.Unwatch(q.Session, q.MessageID)
	case q.Watch > 0:
		answer.Full = !n.Watch(q.Session, q.MessageID, q.Watch)
	}
	if q.Limit > 0 {
		answer.Events = n.Traced(q.Session, q.MessageID, q.After, min(q.Limit, traceMost))
	}
	answer.Left = n.Watched(q.Session, q.MessageID)
	return answer, nil
}

// traced finds the session of a trace and checks the message's id.
func (a *Admin) traced(ctx context.Context, name, messageID string) (storage.Session, string, error) {
	if !protocol.ValidSessionName(name) {
		return storage.Session{}, "", protocol.Errorf(protocol.BadRequest, "session: takes the name of a session")
	}
	if messageID != "" && !protocol.ValidMessageID([]byte(messageID)) {
		return storage.Session{}, "", protocol.Errorf(protocol.BadRequest, "messageId: not of the form it takes")
	}
	s, err := a.find(ctx, name)
	return s, messageID, err
}

// find looks a session up, also one that is suspended or has expired.
func (a *Admin) find(ctx context.Context, name string) (storage.Session, error) {
	if !protocol.ValidSessionName(name) {
		return storage.Session{}, protocol.Errorf(protocol.NotFound, "no such session")
	}
	s, err := a.cfg.Catalog.Lookup(ctx, name)
	if s.ID != "" {
		return s, nil
	}
	return s, err
}

// TraceEvent is a step of a message, and the node that noted it.
type TraceEvent struct {
	Node string `json:"node"`
	session.Event
}

// Trace answers GET /trace: what nodes noted of a message and what the store knows of it.
type Trace struct {
	Success   bool         `json:"success"`
	Session   string       `json:"session"`
	MessageID string       `json:"messageId"`
	Left      int64        `json:"watchedMs"` // for so long yet; 0: it is not watched
	Nodes     []string     `json:"nodes"`     // that answered
	Events    []TraceEvent `json:"events"`    // in the order of time
	Found     []FoundInfo  `json:"found"`     // in the store, by topic; empty without a messageId
}

// FoundInfo is what the store knows of a message on a topic.
type FoundInfo struct {
	Topic         string         `json:"topic"`
	Seq           uint64         `json:"seq"`
	KnownAt       *int64         `json:"knownAt"` // ms, when it was stored; null: older than the dedupe window
	Stored        bool           `json:"stored"`  // it is still there
	StoredAt      *int64         `json:"storedAt"`
	ExpiresAt     *int64         `json:"expiresAt"`
	Timestamp     int64          `json:"timestamp"` // ms, the publisher's
	Origin        string         `json:"origin"`
	Size          int            `json:"size"`
	PushDue       bool           `json:"pushDue"`
	Subscriptions int64          `json:"subscriptions"`
	Settled       int64          `json:"settled"`
	Positions     []PositionInfo `json:"positions"` // the first hundred
}

// PositionInfo says whether a subscriber has settled a message.
type PositionInfo struct {
	Subscriber string `json:"subscriber"`
	Settled    bool   `json:"settled"`
}

// trace answers ?session=NAME&messageId=ID&topic=NAME.
func (a *Admin) trace(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), storeTimeout)
	defer cancel()
	s, id, err := a.traced(ctx, c.QueryParam("session"), c.QueryParam("messageId"))
	if err != nil {
		return err
	}
	topic := c.QueryParam("topic")
	if topic != "" && !protocol.ValidTopic([]byte(topic)) {
		return protocol.Errorf(protocol.BadRequest, "topic: not of the form it takes")
	}
	t := Trace{Success: true, Session: s.Name, MessageID: id, Nodes: []string{}, Events: []TraceEvent{}, Found: []FoundInfo{}}
	if id != "" {
		found, err := a.cfg.Store.Find(ctx, s.ID, topic, id)
		if err != nil {
			return a.storeFailed("find", err)
		}
		for _, f := range found {
			t.Found = append(t.Found, foundInfo(f))
		}
	}
	// A watch of the whole session has noted this message too.
	for _, watched := range slices.Compact([]string{id, ""}) {
		if err := a.gather(ctx, &t, traceQuery{Session: s.ID, MessageID: watched}); err != nil {
			return err
		}
	}
	if err := a.gather(ctx, &t, traceQuery{Session: s.ID, MessageID: id, Limit: traceMost}); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, t)
}

// gather adds what all nodes answer to a query.
func (a *Admin) gather(ctx context.Context, t *Trace, q traceQuery) error {
	got, err := a.peers.ask(ctx, "", "trace", q)
	if err != nil {
		return err
	}
	t.Nodes = t.Nodes[:0]
	for node, text := range got {
		var answer traceAnswer
		if json.Unmarshal(text, &answer) != nil {
			continue
		}
		t.Nodes = append(t.Nodes, node)
		t.Left = max(t.Left, answer.Left.Milliseconds())
		for _, e := range answer.Events {
			t.Events = append(t.Events, TraceEvent{node, e})
		}
		if answer.Full {
			return protocol.Errorf(protocol.QuotaExceeded, "as many messages and sessions as can be are watched already: end one")
		}
	}
	slices.Sort(t.Nodes)
	slices.SortStableFunc(t.Events, func(x, y TraceEvent) int {
		if x.Node == y.Node {
			return cmp.Compare(x.N, y.N)
		}
		return x.At.Compare(y.At)
	})
	return nil
}

func foundInfo(f storage.Found) FoundInfo {
	info := FoundInfo{Topic: f.Topic, Seq: f.Seq, KnownAt: ms(f.Known), Stored: f.Stored, StoredAt: ms(f.StoredAt), ExpiresAt: ms(f.ExpiresAt),
		Timestamp: f.Timestamp, Origin: string(f.Origin), Size: f.Size, PushDue: f.Wake, Subscriptions: f.Subscriptions, Settled: f.Settled,
		Positions: make([]PositionInfo, len(f.Positions))}
	for i, p := range f.Positions {
		info.Positions[i] = PositionInfo{string(p.Subscriber), p.Settled}
	}
	return info
}

// watch answers POST /trace: every node notes the steps of a session's messages, or of one of them, from now on.
func (a *Admin) watch(c echo.Context) (err error) {
	var body struct {
		Session   string `json:"session"`
		MessageID string `json:"messageId"`
		Seconds   *int   `json:"seconds"` // 0: end it
	}
	if err := decode(c.Request(), &body, "session", "messageId", "seconds"); err != nil {
		return err
	}
	d := watchFor
	if body.Seconds != nil {
		if d = time.Duration(*body.Seconds) * time.Second; *body.Seconds < 0 || *body.Seconds > int(session.MaxWatch/time.Second) {
			return protocol.Errorf(protocol.BadRequest, "seconds: takes 0 to 3600")
		}
	}
	action := ActionWatch
	if d == 0 {
		action = ActionUnwatch
	}
	defer func() { a.Audit(c, action, body.Session, err) }()
	ctx, cancel := context.WithTimeout(c.Request().Context(), storeTimeout)
	defer cancel()
	s, id, err := a.traced(ctx, body.Session, body.MessageID)
	if err != nil {
		return err
	}
	t := Trace{Nodes: []string{}}
	if err := a.gather(ctx, &t, traceQuery{Session: s.ID, MessageID: id, Watch: d, End: d == 0}); err != nil {
		return err
	}
	return c.JSON(http.StatusOK, map[string]any{"success": true, "watchedMs": t.Left, "nodes": t.Nodes})
}

// codeOf is an error's code.
func codeOf(err error) protocol.Code {
	var refused *protocol.Error
	if errors.As(err, &refused) {
		return refused.Code
	}
	return protocol.Internal
}
