package api

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

// publish is for back ends: the fields of a publish frame, answered when it is acked. Without a messageId it gets one,
// and a repeat of the call is another message.
func (s *server) publish(c echo.Context) error {
	r := c.Request()
	name, password, ok := r.BasicAuth()
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	if !ok {
		c.Response().Header().Set("WWW-Authenticate", basicChallenge)
		return protocol.Errorf(protocol.Unauthorized, "send HTTP Basic credentials: sessionName and password")
	}
	found, err := s.Catalog.Authenticate(ctx, name, password, s.ClientAddr(r))
	if err != nil {
		c.Response().Header().Set("WWW-Authenticate", basicChallenge)
		return err
	}

	if !isJSON(r) {
		return status(http.StatusUnsupportedMediaType, protocol.Errorf(protocol.BadRequest, "Content-Type: takes application/json"))
	}
	s.bound(c, s.MaxPayload)
	body, err := readBody(c, s.MaxPayload)
	if err != nil {
		return err
	}
	var f protocol.ClientFrame
	if err := f.ParseAs(protocol.TypePublish, body); err != nil {
		return err
	}
	if f.MessageID == nil {
		f.MessageID = []byte(rand.Text())
	}
	if err := f.Validate(); err != nil {
		return err
	}
	ctx, cancel = context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	done, err := s.Publisher.Publish(ctx, found, session.Publication{
		Topic: string(f.Topic), MessageID: string(f.MessageID), Data: f.Data, Hash: string(f.Hash),
		Timestamp: f.Timestamp, HasTimestamp: f.HasTimestamp, Retry: f.Retry, AtMostOnce: f.QoS == 0,
	})
	var refused *protocol.Error
	switch {
	case errors.As(err, &refused):
		return err
	case err != nil: // of ctx
		s.Logger.Warn("a publish was given up", slog.Any("cause", err))
		return protocol.Errorf(protocol.Unavailable, "not known to be stored: publish it again, with its messageId and retry:true")
	}
	return c.JSON(http.StatusOK, struct {
		Success   bool   `json:"success"`
		Topic     string `json:"topic"`
		MessageID string `json:"messageId"`
		Seq       uint64 `json:"seq,omitempty"`
	}{true, string(f.Topic), done.MessageID, done.Seq})
}

const basicChallenge = `Basic realm="fastPort", charset="UTF-8"`
