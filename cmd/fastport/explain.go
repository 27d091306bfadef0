package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// explain puts what a server or the SDK said into a line that says what to do.
func (p profile) explain(err error) error {
	var refused *protocol.Error
	var closed *client.CloseError
	var dns *net.DNSError
	var turned ws.StatusError // instead of an upgrade
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return p.explainCode(err, refused)
	case errors.As(err, &turned) && turned == http.StatusTooManyRequests:
		return fmt.Errorf("%s takes no more connections from this address for now: its operator may raise CONNECTION_RATE_LIMIT, or MAX_CONNECTIONS_PER_IP", p.URL)
	case errors.As(err, &closed) && closed.Code == protocol.CloseSessionGone:
		return fmt.Errorf("session %s was suspended or dropped, or has expired", p.Session)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing answers at %s: `fastport serve` starts a broker, and --url names another", p.URL)
	case errors.As(err, &dns):
		return fmt.Errorf("no address for %s: is the name in --url right?", dns.Name)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer from %s in time", p.URL)
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.Is(err, client.ErrTakenOver):
		return errors.New("another connection has taken this --client-id over: one at a time may use it")
	case errors.Is(err, client.ErrLegacy):
		return fmt.Errorf("%s; --allow-legacy takes it", text(err))
	case errors.Is(err, e2ee.ErrWeakKey):
		return fmt.Errorf("the key of session %s is weak: anybody could guess it; `fastport keygen` makes a good one", p.Session)
	}
	return errors.New(text(err))
}

// errInterrupted is the end of a command that was to go on.
var errInterrupted = errors.New("interrupted")

func (p profile) explainCode(err error, refused *protocol.Error) error {
	switch refused.Code {
	case protocol.Unauthorized:
		return fmt.Errorf("%s does not let session %s in with this password: is there such a session (`fastport session create %s --save`), and is the password right?", p.URL, p.Session, p.Session)
	case protocol.KeyMismatch:
		return fmt.Errorf("the key is not that of session %s: take the one that `session create` gave", p.Session)
	case protocol.SessionSuspended:
		return fmt.Errorf("session %s is suspended: `fastport session resume %s` lets it go on", p.Session, p.Session)
	case protocol.SessionExpired:
		return fmt.Errorf("session %s has expired: `fastport session create` makes another", p.Session)
	case protocol.NoReceivers:
		return fmt.Errorf("nobody is there to receive it: `fastport recv %s TOPIC` first, or send with --wait", p.Session)
	}
	// The text, without the names of packages and of the code in front, is meant for people.
	if _, after, ok := strings.Cut(err.Error(), refused.Error()); ok {
		return errors.New(refused.Text + after)
	}
	return errors.New(refused.Text)
}

// explainCreate is explain where the session could not be made.
func (p profile) explainCreate(err error) error {
	switch {
	case client.IsCode(err, protocol.Conflict):
		return fmt.Errorf("there is a session %s at %s already: choose another name, or `fastport session drop %s` first", p.Session, p.URL, p.Session)
	case client.IsCode(err, protocol.Unauthorized):
		return fmt.Errorf("%s lets its operator alone make sessions: set FASTPORT_ADMIN_PASS", p.URL)
	}
	return p.explain(err)
}

// text is an error without the SDK's name in front.
func text(err error) string { return strings.TrimPrefix(oneLine(err), "client: ") }

// printable is text from elsewhere in a form that does no harm to a terminal, in one line: control characters and
// what is not UTF-8 stand as \x1b and the like.
func printable(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteByte('\t')
		case r == '\uFFFD' && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f: // line ends, and what turns text around
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
