package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/fastport/fastport/protocol"
)

// drain answers POST /nodes/:id/drain: the node moves its clients to others and ends. What supervises it starts it anew.
func (a *Admin) drain(c echo.Context) (err error) {
	id := c.Param("id")
	if err := decode(c.Request(), &struct{}{}); err != nil {
		return err
	}
	defer func() { a.Audit(c, ActionDrain, id, err) }()
	if len(id) > protocol.MaxNameBytes {
		return protocol.Errorf(protocol.NotFound, "no such node")
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), storeTimeout)
	defer cancel()
	got, err := a.peers.ask(ctx, id, "drain", struct{}{})
	if err != nil {
		return err
	}
	if got[id] == nil {
		return protocol.Errorf(protocol.NotFound, "no such node, or it does not answer")
	}
	return c.JSON(http.StatusOK, map[string]any{"success": true, "node": id})
}

func (a *Admin) answerDrain(context.Context, json.RawMessage) (any, error) {
	if a.cfg.Drain == nil {
		return nil, protocol.Errorf(protocol.NotFound, "this node cannot be drained")
	}
	a.log.Warn("admin: an operator drains this node")
	a.cfg.Drain()
	return struct{}{}, nil
}
