package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/fastport/fastport/client"
)

func subCommand() command {
	return command{
		name: "sub", group: "Devices", args: "SESSION TOPIC...", summary: "print messages as they come",
		about: `Prints each message on a line of its own, acks it, and waits for more until it is interrupted. Control characters are
shown as \n or \x1b; --json gives every byte. With --client-id the broker keeps what comes while you are away.
` + accessHelp,
		examples: `fastport sub demo chat/general
fastport sub demo chat/general --client-id laptop     # nothing is missed between two runs
fastport sub demo logs alerts --with-topic
fastport sub demo sensors/1 --json --count 10 | jq .data`,
		define: func(fs *flag.FlagSet) action {
			var s subscriber
			s.access.declare(fs)
			fs.BoolVar(&s.json, "json", false, "print objects: topic, messageId, data (or dataBase64), timestamp, seq, retry, replay, qos")
			fs.BoolVar(&s.withTopic, "with-topic", false, "put the topic and a tab before each message")
			fs.IntVar(&s.count, "count", 0, "end after `N` messages")
			fs.StringVar(&s.clientID, "client-id", "", "be the durable subscriber `ID`, one connection at a time")
			fs.StringVar(&s.userID, "user-id", "", "be one of the connections of user `ID`, who share a mailbox")
			fs.BoolVar(&s.legacy, "allow-legacy", false, "take messages of suite 1, which prove neither sender nor time")
			return func(ctx context.Context, e *env, args []string) error {
				if err := need(fs, args, 2, -1, "a session and one topic or more"); err != nil {
					return err
				}
				if s.count < 0 {
					return usagef("--count takes 0, which is no end, or more")
				}
				return s.run(ctx, e, args[0], args[1:])
			}
		},
	}
}

// subscriber prints what comes.
type subscriber struct {
	access           access
	json, withTopic  bool
	count            int
	clientID, userID string
	legacy           bool
}

func (s *subscriber) run(ctx context.Context, e *env, session string, topics []string) error {
	pr, err := s.access.resolve(e, session)
	if err != nil {
		return err
	}
	out := &printer{to: e.Stdout, json: s.json, withTopic: s.withTopic, left: s.count, endless: s.count == 0, full: make(chan struct{})}
	c, err := s.access.connect(ctx, pr, e.say, func(o *client.Options) {
		o.ClientID, o.UserID, o.AllowLegacy = s.clientID, s.userID, s.legacy
		told := o.OnError
		o.OnError = func(err error) {
			if !errors.Is(err, errEnough) { // that is no fault
				told(err)
			}
		}
	})
	if err != nil {
		return err
	}
	for _, topic := range topics {
		if err := c.Subscribe(ctx, topic, out.handle); err != nil {
			return errors.Join(pr.explain(err), c.hangUp(ctx))
		}
	}
	e.say("subscribed to %s; waiting", printable(strings.Join(topics, ", ")))
	select {
	case <-ctx.Done():
	case <-out.full:
	case <-c.Done():
		return pr.explain(c.Err())
	}
	return errors.Join(c.hangUp(ctx), out.failure())
}

// printer writes messages, one write each, so that every line is out at once and whole.
type printer struct {
	to              io.Writer
	json, withTopic bool
	endless         bool
	full            chan struct{} // closed when no more is wanted

	mu   sync.Mutex // guards the following: each topic has its own goroutine
	left int
	err  error // of to
	done bool
}

// errEnough leaves a message unacked: it is the next subscriber's.
var errEnough = errors.New("no more is wanted")

// handle prints m. Nil acks it.
func (p *printer) handle(_ context.Context, m client.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return errEnough
	}
	_, p.err = io.WriteString(p.to, p.line(m))
	p.left--
	if p.err != nil || !p.endless && p.left == 0 {
		p.done = true
		close(p.full)
	}
	return p.err
}

func (p *printer) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// printed is a message as --json shows it.
type printed struct {
	Topic      string  `json:"topic"`
	MessageID  string  `json:"messageId"`
	Data       *string `json:"data,omitempty"`
	DataBase64 string  `json:"dataBase64,omitempty"` // of what is not UTF-8
	Timestamp  string  `json:"timestamp"`
	Seq        uint64  `json:"seq,omitempty"`
	Retry      int     `json:"retry,omitempty"`
	Replay     bool    `json:"replay,omitempty"`
	QoS        int     `json:"qos"`
	Legacy     bool    `json:"legacy,omitempty"`
}

func (p *printer) line(m client.Message) string {
	data := string(m.Payload)
	if !p.json {
		if p.withTopic {
			return printable(m.Topic) + "\t" + printable(data) + "\n"
		}
		return printable(data) + "\n"
	}
	shown := printed{
		Topic: m.Topic, MessageID: m.ID, Timestamp: m.Timestamp.UTC().Format(time.RFC3339Nano),
		Seq: m.Seq, Retry: m.Retry, Replay: m.Replay, QoS: m.QoS, Legacy: m.Legacy,
	}
	if utf8.ValidString(data) {
		shown.Data = &data
	} else {
		shown.DataBase64 = base64.StdEncoding.EncodeToString(m.Payload)
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(shown); err != nil {
		panic(err) // strings, numbers and booleans always encode
	}
	return b.String()
}
