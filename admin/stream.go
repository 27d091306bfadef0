package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// Bounds of streams.
const (
	maxStreams   = 64 // of one node
	streamBeat   = 15 * time.Second
	streamWrite  = 10 * time.Second // for what is sent to be taken
	streamRetry  = 2000             // ms, until a browser comes back
	recheckEvery = 15 * time.Second // the login, should the word that it has ended be lost
)

var errGone = errors.New("admin: the login has ended")

// stream is one page's server-sent events.
type stream struct {
	a    *Admin
	who  identity
	out  http.ResponseWriter
	conn *http.ResponseController
	last string // the id of the last event that the page had before it came back; "": it is new
}

// send sends an event; id is what the page comes back with, "" keeps the one before.
func (s *stream) send(event, id string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	b := append([]byte("event: "), event...)
	if id != "" {
		b = append(append(b, "\nid: "...), id...)
	}
	return s.write(append(append(append(b, "\ndata: "...), text...), "\n\n"...))
}

func (s *stream) write(b []byte) error {
	// An error means a writer without deadlines: its server has others.
	_ = s.conn.SetWriteDeadline(time.Now().Add(streamWrite))
	if _, err := s.out.Write(b); err != nil {
		return err
	}
	return s.conn.Flush()
}

// stay looks whether the login still stands; if not, it tells the page and returns errGone. Where the store does not
// answer, it stands: that is when an operator looks.
func (s *stream) stay(ctx context.Context) error {
	asked, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if _, err := s.a.cfg.Store.Login(asked, s.who.hash, idleFor, validFor); !errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err := s.send("gone", "", struct{}{}); err != nil {
		return err
	}
	return errGone
}

// view is what a page shows: once tells all there is, then news is called every so often.
type view struct {
	every time.Duration
	once  func(ctx context.Context, s *stream) error
	news  func(ctx context.Context, s *stream) error
}

// events answers GET /events?view=…: one stream a page. It ends with the login, with the node, and with the page.
func (a *Admin) events(c echo.Context) error {
	v, err := a.view(c)
	if err != nil {
		return err
	}
	if a.streams.Add(1) > maxStreams {
		a.streams.Add(-1)
		return protocol.Errorf(protocol.Unavailable, "too many pages look at this node")
	}
	defer a.streams.Add(-1)
	who, _ := c.Get(identityKey).(identity)
	s := &stream{a: a, who: who, out: c.Response(), conn: http.NewResponseController(c.Response()), last: c.Request().Header.Get("Last-Event-ID")}
	ctx, cancel := context.WithCancel(c.Request().Context())
	defer cancel()
	defer context.AfterFunc(a.peers.ctx, cancel)() // the node ends

	h := c.Response().Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx passes it on at once
	c.Response().WriteHeader(http.StatusOK)
	_ = s.follow(ctx, v) // the page is gone, or the node is going
	return nil
}

func (s *stream) follow(ctx context.Context, v view) error {
	if err := s.write([]byte("retry: " + strconv.Itoa(streamRetry) + "\n\n")); err != nil {
		return err
	}
	ended := s.a.ended.heard()
	if err := v.once(ctx, s); err != nil {
		return err
	}
	news, beat, recheck := time.NewTicker(v.every), time.NewTicker(streamBeat), time.NewTicker(recheckEvery)
	defer news.Stop()
	defer beat.Stop()
	defer recheck.Stop()
	for {
		var err error
		select {
		case <-news.C:
			err = v.news(ctx, s)
		case <-beat.C:
			err = s.write([]byte(": here\n\n"))
		case <-recheck.C:
			err = s.stay(ctx)
		case <-ended:
			ended = s.a.ended.heard()
			err = s.stay(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}
