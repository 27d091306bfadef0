package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/protocol"
)

// explain is err in words that say what to do.
func explain(err error) string {
	var refused *protocol.Error
	if errors.As(err, &refused) {
		if hint := hints[refused.Code]; hint != "" {
			return fmt.Sprintf("%s (%s): %s", refused.Text, refused.Code, hint)
		}
		return fmt.Sprintf("%s (%s)", refused.Text, refused.Code)
	}
	var closed *client.CloseError
	var dial *net.OpError
	switch {
	case errors.As(err, &closed) && closed.Code == protocol.CloseSessionGone:
		return "the session was dropped, suspended, or has expired"
	case errors.Is(err, client.ErrTakenOver):
		return "another connection uses this --client-id now"
	case errors.Is(err, syscall.EADDRINUSE):
		return err.Error()
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("%v: no server is there. Start one with `fastport serve`, or say where it is with --url or FASTPORT_URL", err)
	case errors.As(err, &dial) && dial.Op == "dial":
		return fmt.Sprintf("%v: is --url or FASTPORT_URL right?", err)
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time: " + err.Error()
	}
	return err.Error()
}

var hints = map[protocol.Code]string{
	protocol.Unauthorized:     "check the session's name and FASTPORT_PASSWORD; `fastport session create NAME --save` makes a session",
	protocol.KeyMismatch:      "FASTPORT_KEY is not the key that the session was made with",
	protocol.NoReceivers:      "start `fastport recv` first, with the same --topic",
	protocol.SessionSuspended: "`fastport session resume NAME` lets it go on",
	protocol.RateLimited:      "wait a little, and try again",
	protocol.Conflict:         "the name is taken: choose another",
}
