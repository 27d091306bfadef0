package fcm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"firebase.google.com/go/v4/errorutils"
	"firebase.google.com/go/v4/messaging"
)

// Options say where and how pushes go. What is left zero takes its default.
type Options struct {
	Endpoint string        // the part before /projects/…, version included (FCM_ENDPOINT); "": Google's
	TokenURL string        // of OAuth (FCM_TOKEN_URL); "": Google's
	Payload  Payload       // PUSH_PAYLOAD; "": Wake
	Title    string        // of a Notice (PUSH_TITLE); "": "New message"
	Timeout  time.Duration // of one call, its retries included; 0: 10 s

	transport *http.Transport
}

// Batch is how many devices one call reaches at most: FCM's own bound.
const Batch = 500

// idleApp is how long an app that sends nothing is kept.
const idleApp = 10 * time.Minute

// Outcome is what became of a push to one device.
type Outcome uint8

const (
	Sent    Outcome = iota // FCM took it
	Gone                   // the token is of no use any more: forget it
	Later                  // FCM is out, busy or unreachable: the same may work later
	Refused                // FCM will not take this push: the account or the push is at fault
)

// String is the word that operators see.
func (o Outcome) String() string {
	return [...]string{"sent", "gone", "later", "refused"}[min(o, Refused)]
}

// Result answers one token.
type Result struct {
	Outcome Outcome
	Err     error // why not Sent; holds no token and no key
}

// Sender hands pushes to FCM, with one app a session. Safe for concurrent use.
type Sender struct {
	options Options

	mu   sync.Mutex // guards the following
	apps map[string]*app
}

// NewSender makes a Sender. It opens no connection before the first push.
func NewSender(o Options) *Sender {
	o.Endpoint, o.TokenURL = cmp.Or(o.Endpoint, GoogleEndpoint), cmp.Or(o.TokenURL, GoogleTokenURL)
	o.Payload, o.Title = cmp.Or(o.Payload, Wake), cmp.Or(o.Title, "New message")
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.transport = &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: o.Timeout}).DialContext,
		TLSHandshakeTimeout:   o.Timeout,
		ResponseHeaderTimeout: o.Timeout,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   64,
		MaxConnsPerHost:       256,
		IdleConnTimeout:       time.Minute,
	}
	return &Sender{options: o, apps: map[string]*app{}}
}

// Send pushes p to up to Batch devices of the session with this ID. Results are in the order of tokens. pause is how long FCM asked to be
// left alone. The error is the account's: it cannot be used at all, and nothing was sent.
func (s *Sender) Send(ctx context.Context, session string, a Account, p Push, tokens []string) (results []Result, pause time.Duration, err error) {
	app, err := s.app(session, a)
	if err != nil {
		return nil, 0, err
	}
	if left := app.pace.left(); left > 0 {
		return all(len(tokens), Result{Later, errPaused}), left, nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	answer, err := app.client.SendEachForMulticast(ctx, s.options.multicast(p, tokens))
	if err != nil {
		return all(len(tokens), Result{Refused, fmt.Errorf("fcm: send: %w", err)}), 0, nil
	}
	results = make([]Result, len(tokens))
	for i, r := range answer.Responses {
		if !r.Success {
			results[i] = classify(r.Error)
		}
	}
	return results, app.pace.left(), nil
}

var errPaused = errors.New("fcm: asked to be left alone for a while")

func all(n int, r Result) []Result {
	list := make([]Result, n)
	for i := range list {
		list[i] = r
	}
	return list
}

// classify reads FCM's word on one push.
func classify(err error) Result {
	switch {
	case messaging.IsUnregistered(err), messaging.IsSenderIDMismatch(err):
		return Result{Gone, err}
	case messaging.IsInvalidArgument(err):
		// FCM says the same of a push that it cannot read. A token is forgotten only where it is the one at fault.
		if strings.Contains(strings.ToLower(err.Error()), "token") {
			return Result{Gone, err}
		}
		return Result{Refused, err}
	case errorutils.IsUnauthenticated(err), errorutils.IsPermissionDenied(err), errorutils.IsNotFound(err):
		return Result{Refused, err}
	}
	return Result{Later, err} // busy, out, out of reach, or not to be understood
}

// app finds or opens the app of a session.
func (s *Sender) app(session string, a Account) (*app, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if known := s.apps[session]; known != nil && known.account == a {
		known.used = now
		return known, nil
	}
	for id, old := range s.apps {
		if now.Sub(old.used) > idleApp {
			delete(s.apps, id)
		}
	}
	made, err := s.options.open(a)
	if err != nil {
		return nil, err
	}
	made.used = now
	s.apps[session] = made
	return made, nil
}

// Forget closes the app of a session that is gone.
func (s *Sender) Forget(session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.apps, session)
}

// Close ends idle connections. Pushes under way end by themselves.
func (s *Sender) Close() { s.options.transport.CloseIdleConnections() }
