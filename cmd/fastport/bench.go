package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/fastport/fastport/protocol"
)

func benchCommand() command {
	return command{
		name: "bench", group: "Broker", summary: "measure a broker: throughput and latency, live",
		about: `Publishes and subscribes with clients of the SDK in a session of its own, which it drops at the end, and tells how many messages
a second passed and how long they took. What it measures is what applications get: messages are sealed and opened, so the
clients' cryptography is in the figures, and it shares this machine with whatever else runs here, the broker perhaps.

With --rate a message's time counts from when it was due, so a broker that stalls is not flattered by a client that waits for it.
Without, each publisher keeps --window messages on their way, which finds the highest rate; latency is that of a full queue then.
Interrupted, it ends early and reports. It fails (exit code 1) where a message of qos 1 was lost, came twice or out of order.

The broker's own limits hold here too: raise CONNECTION_RATE_LIMIT (connections a second from one address) for many clients.
A broker that lets operators alone make sessions wants FASTPORT_ADMIN_PASS.`,
		examples: `fastport bench                                    # ten pairs, as fast as acks come
fastport bench --rate 5000                        # latency at a rate
fastport bench --fanout 100 --qos 0               # one publisher, a hundred subscribers
fastport bench --pairs 100 --durable --duration 1m --url https://broker.example.com
fastport bench --json | jq .delivery.p99Ms`,
		define: func(fs *flag.FlagSet) action {
			var b benchmark
			b.declare(fs)
			return func(ctx context.Context, e *env, args []string) error {
				if err := need(fs, args, 0, 0, "no arguments"); err != nil {
					return err
				}
				return b.run(ctx, e)
			}
		},
	}
}

// benchmark is what `bench` is told.
type benchmark struct {
	url                      string // of one node or more
	pairs, fanout            int
	qos, size, rate, window  int
	durable, json            bool
	duration, warmup, linger time.Duration
}

func (b *benchmark) declare(fs *flag.FlagSet) {
	fs.StringVar(&b.url, "url", "", "the broker's `ADDRESS`, or several of one cluster with commas between; if not FASTPORT_URL or "+defaultURL)
	fs.IntVar(&b.pairs, "pairs", 10, "`N` publishers, each with a topic and a subscriber of its own")
	fs.IntVar(&b.fanout, "fanout", 0, "one publisher instead, to `N` subscribers of one topic")
	fs.IntVar(&b.qos, "qos", 1, "`0` sends once to who is there, 1 until it is acked")
	fs.BoolVar(&b.durable, "durable", false, "subscribers have mailboxes, which keep what they have not acked")
	fs.IntVar(&b.size, "size", 128, "messages of `BYTES`, before they are sealed")
	fs.IntVar(&b.rate, "rate", 0, "publish `N` messages a second in all; 0: as many as --window lets go")
	fs.IntVar(&b.window, "window", 16, "`N` messages of a publisher at most wait for their acks")
	fs.DurationVar(&b.duration, "duration", 10*time.Second, "measure for this `TIME`")
	fs.DurationVar(&b.warmup, "warmup", 2*time.Second, "and publish for this `TIME` before")
	fs.BoolVar(&b.json, "json", false, "print the result as one JSON object")
}

// benchPatience is how long the last messages may take with nothing of them coming.
const benchPatience = 10 * time.Second

// check looks at what was given.
func (b *benchmark) check(e *env) (err error) {
	var faults []error
	for name, n := range map[string]int{"pairs": b.pairs, "window": b.window} {
		if n < 1 {
			faults = append(faults, fmt.Errorf("--%s takes 1 or more", name))
		}
	}
	switch {
	case b.fanout < 0 || b.rate < 0:
		faults = append(faults, errors.New("--fanout and --rate take 0 or more"))
	case b.qos != 0 && b.qos != 1:
		faults = append(faults, errors.New("--qos takes 0 or 1"))
	case b.size < stampSize || b.size > protocol.MaxPayload:
		faults = append(faults, fmt.Errorf("--size takes %d to %d", stampSize, protocol.MaxPayload))
	case b.duration <= 0 || b.warmup < 0:
		faults = append(faults, errors.New("--duration and --warmup take a time like 10s or 1m"))
	}
	if err := errors.Join(faults...); err != nil {
		return usagef("%s", oneLine(err))
	}
	if b.linger == 0 {
		b.linger = benchPatience
	}
	b.url, err = parseURLs(or(b.url, or(e.setting("FASTPORT_URL"), defaultURL)))
	return err
}

func (b *benchmark) run(ctx context.Context, e *env) (err error) {
	if err := b.check(e); err != nil {
		return err
	}
	screen := newLiveLine(e.Stderr, e.setting("TERM"))
	l, err := b.open(ctx, e, screen)
	if err != nil {
		return err
	}
	tally := l.measure(ctx, func(line string) {
		if screen.terminal {
			screen.show(line)
		} else {
			fmt.Fprintln(screen, line)
		}
	})
	screen.show("")
	r := b.result(tally)
	if b.json {
		err = e.printJSON(r)
	} else {
		err = r.writeText(e.Stdout)
	}
	if !r.OK {
		err = errors.Join(err, errors.New(r.verdict()))
	}
	return errors.Join(err, l.close(ctx))
}

// shape is what is measured, in words.
func (b *benchmark) shape() string {
	who := fmt.Sprintf("%d pairs", b.pairs)
	if b.fanout > 0 {
		who = fmt.Sprintf("1 publisher to %d subscribers", b.fanout)
	}
	parts := []string{who, fmt.Sprintf("qos %d", b.qos)}
	if b.durable {
		parts = append(parts, "durable subscribers")
	}
	pace := fmt.Sprintf("%d in flight each", b.window)
	if b.rate > 0 {
		pace = fmt.Sprintf("%d messages/s", b.rate)
	}
	return strings.Join(append(parts, fmt.Sprintf("%d bytes", b.size), pace), ", ")
}
