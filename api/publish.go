package api

import (
	"context"
	"crypto/rand"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/protocol"
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
	seq, err := s.Publisher.Publish(ctx, found, &f)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, struct {
		Success   bool   `json:"success"`
		Topic     string `json:"topic"`
		MessageID string `json:"messageId"`
		Seq       uint64 `json:"seq,omitempty"`
	}{true, string(f.Topic), string(f.MessageID), seq})
}

const basicChallenge = `Basic realm="fastPort", charset="UTF-8"`
