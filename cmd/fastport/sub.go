package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/fastport/fastport/client"
	"golang.org/x/term"
)

func subCommand() command {
	return command{
		name: "sub", group: "Devices", args: "TOPIC...", summary: "print what is published on topics",
		about: `Prints each message on a line of its own, until it is interrupted. A message is acked once it is printed. With --client-id
the server keeps what comes while nobody is here.
` + accessHelp,
		examples: `fastport sub news
fastport sub news --client-id laptop
fastport sub sensors/temp sensors/wind --json | jq .payload`,
		define: func(fs *flag.FlagSet) action {
			var a access
			a.clientFlags(fs)
			asJSON := fs.Bool("json", false, "a JSON object a message: topic, messageId, timestamp, seq, retry, replay, and payload (or payloadBase64)")
			count := fs.Int("count", 0, "end after so many `messages`")
			return func(ctx context.Context, e *env, topics []string) error {
				if err := need(fs, topics, 1, -1, "a topic"); err != nil {
					return err
				}
				if *count < 0 {
					return usagef("--count takes 1 or more")
				}
				cl, err := a.connect(ctx, e)
				if err != nil {
					return err
				}
				out := newPrinter(e.Stdout, *asJSON, *count)
				for _, topic := range topics {
					if err := cl.Subscribe(ctx, topic, out.handle); err != nil {
						return errors.Join(err, closeClient(cl))
					}
				}
				fmt.Fprintf(e.Stderr, "subscribed to %s\n", printable(strings.Join(topics, ", ")))
				select {
				case <-ctx.Done():
				case <-out.done:
				case <-cl.Done():
					return cl.Err()
				}
				return errors.Join(out.failure(), closeClient(cl))
			}
		},
	}
}

// printer prints messages, from any topic's handler.
type printer struct {
	asJSON   bool
	terminal bool
	done     chan struct{} // closed when enough is printed, or nothing can be

	mu   sync.Mutex // guards the following
	w    io.Writer
	left int // messages; below 0: no end
	err  error
}

func newPrinter(w io.Writer, asJSON bool, count int) *printer {
	p := &printer{asJSON: asJSON, done: make(chan struct{}), w: w, left: count}
	if count == 0 {
		p.left = -1
	}
	if f, ok := w.(*os.File); ok {
		p.terminal = term.IsTerminal(int(f.Fd()))
	}
	return p
}

var errEnough = errors.New("enough messages: left for the next who subscribes")

// handle prints one message. Beyond the count it refuses, so that a durable subscriber gets it another time.
func (p *printer) handle(_ context.Context, m client.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left == 0 || p.err != nil {
		return errEnough
	}
	if _, err := io.WriteString(p.w, p.line(m)); err != nil {
		p.err = err
		close(p.done)
		return err
	}
	if p.left > 0 {
		if p.left--; p.left == 0 {
			close(p.done)
		}
	}
	return nil
}

func (p *printer) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// printed is a message as --json shows it.
type printed struct {
	Topic     string  `json:"topic"`
	MessageID string  `json:"messageId"`
	Timestamp string  `json:"timestamp"`
	Seq       uint64  `json:"seq,omitempty"`
	Retry     int     `json:"retry,omitempty"`
	Replay    bool    `json:"replay,omitempty"`
	Payload   *string `json:"payload,omitempty"`
	Base64    string  `json:"payloadBase64,omitempty"` // where it is not UTF-8
}

func (p *printer) line(m client.Message) string {
	if !p.asJSON {
		if p.terminal {
			return printable(string(m.Payload)) + "\n"
		}
		return string(m.Payload) + "\n"
	}
	shown := printed{
		Topic: m.Topic, MessageID: m.ID, Timestamp: m.Timestamp.UTC().Format(time.RFC3339Nano),
		Seq: m.Seq, Retry: m.Retry, Replay: m.Replay,
	}
	if utf8.Valid(m.Payload) {
		text := string(m.Payload)
		shown.Payload = &text
	} else {
		shown.Base64 = base64.StdEncoding.EncodeToString(m.Payload)
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(shown); err != nil {
		return "{}\n" // no field of it can fail
	}
	return b.String()
}

// printable makes a text that somebody else wrote safe for a terminal: it moves no cursor and sets no title.
func printable(s string) string {
	clean := func(r rune) bool { return r == '\t' || r == '\n' || strconv.IsPrint(r) }
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if clean(r) && r != utf8.RuneError {
			b.WriteRune(r)
		} else {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}
