package admin

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
	"github.com/fastport/fastport/storage"
)

const historyFor = sampleMost * sampleEvery

// view finds what a stream is to show.
func (a *Admin) view(c echo.Context) (view, error) {
	switch c.QueryParam("view") {
	case "overview":
		return a.overview(), nil
	case "log":
		return a.logTail(c)
	case "trace":
		return a.traceTail(c)
	}
	return view{}, protocol.Errorf(protocol.BadRequest, "view: takes overview, log or trace")
}

// overview tells the figures of the last minutes, and then those of each heartbeat.
func (a *Admin) overview() view {
	stats := func(ctx context.Context, s *stream) error {
		// Without the store nodes go on, and an operator looks at nothing else then: what is stored is as it was.
		now := a.board.read(ctx, a)
		return s.send("stats", strconv.FormatInt(time.Now().UnixMilli(), 10), now)
	}
	return view{
		every: sampleEvery,
		once: func(ctx context.Context, s *stream) error {
			if err := s.send("history", "", a.history(ctx, s.away())); err != nil {
				return err
			}
			return stats(ctx, s)
		},
		news: stats,
	}
}

// away is how much of the past a page lacks: what came since the event that it had last, or all of it.
func (s *stream) away() time.Duration {
	ms, err := strconv.ParseInt(s.last, 10, 64)
	if err != nil {
		return historyFor
	}
	return min(max(time.Since(time.UnixMilli(ms)), sampleEvery), historyFor)
}

// history asks every node for its past.
func (a *Admin) history(ctx context.Context, d time.Duration) History {
	got, err := a.peers.ask(ctx, "", "history", d)
	if err != nil {
		a.log.Error("admin: no history", slog.Any("cause", err))
	}
	nodes := map[string][]sample{}
	for id, text := range got {
		nodes[id] = parseSamples(text)
	}
	return merge(time.Now(), d, nodes)
}

func (a *Admin) answerHistory(_ context.Context, body json.RawMessage) (any, error) {
	var d time.Duration
	if err := json.Unmarshal(body, &d); err != nil {
		return nil, err
	}
	return a.past.since(time.Now(), d), nil
}

// totalsEvery is how often the store counts for those who look: on a large one that takes a while.
const totalsEvery = 10 * time.Second

// board is the cluster's figures for all pages together: they are read once, however many look.
type board struct {
	mu     sync.Mutex // guards the following; held while they are read
	at     time.Time
	last   Stats
	totals storage.Totals
	counts time.Time // when they were read
}

func (b *board) read(ctx context.Context, a *Admin) Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.at) > sampleEvery/2 {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		defer cancel()
		if time.Since(b.counts) > totalsEvery {
			if totals, err := a.cfg.Store.Totals(ctx); err == nil {
				b.totals, b.counts = totals, time.Now()
			}
		}
		b.last, b.at = a.readStats(ctx, b.totals), time.Now()
	}
	return b.last
}

// logQuery is what a log page asks a node for.
type logQuery struct {
	After uint64 `json:"after"`
	Level string `json:"level"`
	Limit int    `json:"limit"`
}

const (
	logFirst = 200 // lines when a page opens
	logNews  = 300 // lines a second from each node
)

// logTail tells what one node logs, or all: ?node=ID&level=LEVEL.
func (a *Admin) logTail(c echo.Context) (view, error) {
	level := strings.ToUpper(c.QueryParam("level"))
	var parsed slog.Level
	if level != "" && parsed.UnmarshalText([]byte(level)) != nil {
		return view{}, protocol.Errorf(protocol.BadRequest, "level: takes debug, info, warn or error")
	}
	node := c.QueryParam("node")
	if len(node) > protocol.MaxNameBytes {
		return view{}, protocol.Errorf(protocol.BadRequest, "node: takes the id of a node")
	}
	tail := newTail(a, node, "logs", func(after uint64, first bool) any {
		limit := logNews
		if first {
			limit = logFirst
		}
		return logQuery{after, level, limit}
	}, func(text json.RawMessage) (rows []json.RawMessage, last uint64) {
		var list []LogLine
		if json.Unmarshal(text, &list) != nil {
			return nil, 0
		}
		for _, l := range list {
			rows, last = append(rows, l.Record), l.N
		}
		return rows, last
	})
	return view{every: time.Second, once: tail.tell, news: tail.tell}, nil
}

func (a *Admin) answerLogs(_ context.Context, body json.RawMessage) (any, error) {
	var q logQuery
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	level := slog.LevelDebug
	if q.Level != "" {
		if err := level.UnmarshalText([]byte(q.Level)); err != nil {
			return nil, err
		}
	}
	return a.cfg.Logs.After(q.After, level, min(q.Limit, logLines)), nil
}

// traceTail tells the steps of what is watched: ?session=NAME&messageId=ID.
func (a *Admin) traceTail(c echo.Context) (view, error) {
	s, id, err := a.traced(c.Request().Context(), c.QueryParam("session"), c.QueryParam("messageId"))
	if err != nil {
		return view{}, err
	}
	tail := newTail(a, "", "trace", func(after uint64, first bool) any {
		return traceQuery{Session: s.ID, MessageID: id, After: after, Limit: traceMost}
	}, func(text json.RawMessage) (rows []json.RawMessage, last uint64) {
		var answer traceAnswer
		if json.Unmarshal(text, &answer) != nil {
			return nil, 0
		}
		for _, e := range answer.Events {
			row, err := json.Marshal(e)
			if err == nil {
				rows, last = append(rows, row), e.N
			}
		}
		return rows, last
	})
	return view{every: time.Second, once: tail.tell, news: tail.tell}, nil
}

// tail asks nodes again and again for what came behind what they told last.
type tail struct {
	a     *Admin
	node  string // "": all
	about string
	query func(after uint64, first bool) any
	parse func(json.RawMessage) (rows []json.RawMessage, last uint64)

	seen map[string]uint64 // by node
	told bool
}

func newTail(a *Admin, node, about string, query func(uint64, bool) any, parse func(json.RawMessage) ([]json.RawMessage, uint64)) *tail {
	return &tail{a: a, node: node, about: about, query: query, parse: parse, seen: map[string]uint64{}}
}

// tailRow is one row of one node.
type tailRow struct {
	Node string          `json:"node"`
	Row  json.RawMessage `json:"row"`
}

// tell sends what is new. Its id says how far each node has come, so that a page that comes back, through whichever
// node, goes on from there.
func (t *tail) tell(ctx context.Context, s *stream) error {
	first := !t.told && s.last == ""
	if !t.told && s.last != "" {
		_ = json.Unmarshal([]byte(s.last), &t.seen) // what is none of ours begins anew
	}
	var rows []tailRow
	for _, node := range t.nodes(ctx) {
		got, err := t.a.peers.ask(ctx, node, t.about, t.query(t.seen[node], first))
		if err != nil {
			return err
		}
		for id, text := range got {
			list, last := t.parse(text)
			for _, row := range list {
				rows = append(rows, tailRow{id, row})
			}
			t.seen[id] = max(t.seen[id], last)
		}
	}
	if len(rows) == 0 && t.told {
		return nil
	}
	t.told = true
	mark, err := json.Marshal(t.seen)
	if err != nil {
		return err
	}
	return s.send("rows", string(mark), append([]tailRow{}, rows...))
}

// nodes is who is asked: each by itself, since each has its own count.
func (t *tail) nodes(ctx context.Context) []string {
	if t.node != "" {
		return []string{t.node}
	}
	ids := map[string]bool{t.a.cfg.NodeID: true}
	if list, err := t.a.cfg.Backplane.Nodes(ctx); err == nil {
		for _, n := range list {
			ids[n.ID] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

var _ Engine = (*session.Node)(nil)
