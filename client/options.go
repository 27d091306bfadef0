package client

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// Options say where to connect, as whom, and with which keys. URL or URLs, SessionName, Password and a key are needed; the
// rest has defaults.
type Options struct {
	URL string // ws://host:port/ws, or wss://
	// URLs is more than one URL: nodes of one cluster, where no balancer stands before them. One is picked at random; when
	// it cannot be reached, is lost or asks its clients to leave, the next one has its turn.
	URLs        []string
	SessionName string
	Password    string

	// AESKey is the session's root key in base64; or, to hold more than one, Keys.
	AESKey string
	// Keys is a ring for this SessionName: it seals with its newest key and opens with any.
	Keys *e2ee.KeyRing

	// ClientID makes this a durable subscriber: what it subscribes to is kept for it while it is away. One connection
	// at a time may use it; a newer one ends this one with ErrTakenOver.
	ClientID string
	// UserID alone makes this one of a user's connections, which share one durable subscription.
	UserID string

	// Suite to seal with: 2 (default), or 1 for a session with clients of the first version.
	Suite int
	// AllowLegacy takes messages and files of suite 1, which prove neither sender, topic nor time. They are acked when they
	// come, before they are opened and whatever the handler returns: an ack that told an opened message from a
	// forgery would open messages to whoever sends forgeries.
	AllowLegacy bool

	// OnError gets what no call returns: messages that do not open, handlers that fail, lost connections, files that
	// fail. One call at a time, from a goroutine of its own; of many at once some are only logged. Default: none.
	OnError func(error)
	// OnState is told each time the connection is up (true) or lost (false), from the same goroutine. Default: none.
	OnState func(up bool)
	// OnMove is told each time another connection has taken the place of one that was still up, since its node is about
	// to stop: nothing was lost between them. From the same goroutine. Default: none.
	OnMove func()
	// Logger gets what happens to the connection; never content or secrets. Default: discarded.
	Logger *slog.Logger

	// Wait makes Connect try, with backoff, until its context ends. Otherwise its first failure is its result.
	Wait bool
	// BackoffMin and BackoffMax bound the pause before a new try: a random part of BackoffMin, doubled with each
	// failure up to BackoffMax. Default: 250 ms, 30 s.
	BackoffMin, BackoffMax time.Duration
	// DialTimeout bounds connecting to one server and logging in. Default: 10 s.
	DialTimeout time.Duration
	// PingInterval is how long nothing may come before a ping is sent; PongTimeout later the connection is given up.
	// Default: 25 s, 10 s.
	PingInterval, PongTimeout time.Duration
	// AckTimeout is how long a publish may stay unanswered before it is sent again. Default: 15 s.
	AckTimeout time.Duration

	// QueueSize and QueueBytes bound what is published and not acked yet. Default: 1,024 messages, 64 MiB of payload.
	QueueSize  int
	QueueBytes int64
	// DedupeSize is of how many messages, the last ones, it is known that they were handed over. Default: 65,536.
	DedupeSize int

	// TLS configures wss. Default: the system's roots.
	TLS *tls.Config
}

// withDefaults fills in what was left out, and reports every fault at once.
func (o Options) withDefaults() (Options, error) {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("client: "+format, args...)) }

	switch {
	case o.URL != "" && o.URLs != nil:
		fault("URL and URLs are both there: give one")
	case o.URLs == nil:
		o.URLs = []string{o.URL}
	}
	o.URLs = slices.Clone(o.URLs)
	for i, text := range o.URLs {
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
			fault("URL: it takes ws://host:port/ws or wss://host/ws")
			continue
		}
		u.Path = cmp.Or(u.Path, "/")
		o.URLs[i] = u.String()
	}
	if len(o.URLs) == 0 {
		fault("URLs is empty")
	}
	if o.SessionName == "" {
		fault("SessionName is missing")
	}
	if o.Password == "" {
		fault("Password is missing")
	}
	switch {
	case o.Keys == nil && o.AESKey == "":
		fault("a key is missing: AESKey or Keys")
	case o.Keys != nil && o.AESKey != "":
		fault("AESKey and Keys are both there: give one")
	case o.Keys != nil && o.Keys.Session() != o.SessionName:
		fault("Keys are those of session %q, not %q", o.Keys.Session(), o.SessionName)
	case o.Keys == nil && o.SessionName != "":
		ring, err := e2ee.ParseKeyRing(o.SessionName, o.AESKey)
		if err != nil {
			faults = append(faults, err)
		}
		o.Keys, o.AESKey = ring, ""
	}
	setDefault(&o.Suite, 2)
	if o.Suite != 1 && o.Suite != 2 {
		fault("Suite is %d: it takes 1 or 2", o.Suite)
	}
	setDefault(&o.BackoffMin, 250*time.Millisecond)
	setDefault(&o.BackoffMax, 30*time.Second)
	setDefault(&o.DialTimeout, 10*time.Second)
	setDefault(&o.PingInterval, protocol.PingInterval)
	setDefault(&o.PongTimeout, protocol.PongTimeout)
	setDefault(&o.AckTimeout, 15*time.Second)
	setDefault(&o.QueueSize, 1024)
	setDefault(&o.QueueBytes, 64<<20)
	setDefault(&o.DedupeSize, 1<<16)
	if o.BackoffMin < 0 || o.BackoffMax < o.BackoffMin {
		fault("BackoffMin %v and BackoffMax %v: they take 0 or more, the second not below the first", o.BackoffMin, o.BackoffMax)
	}
	if o.DialTimeout < 0 || o.PingInterval < 0 || o.PongTimeout < 0 || o.AckTimeout < 0 || o.QueueSize < 0 || o.QueueBytes < 0 || o.DedupeSize < 0 {
		fault("a timeout or size is negative")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, errors.Join(faults...)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
