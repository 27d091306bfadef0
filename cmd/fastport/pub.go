package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"

	"github.com/fastport/fastport/client"
)

func pubCommand() command {
	return command{
		name: "pub", group: "Devices", args: "SESSION TOPIC [MESSAGE]", summary: "publish a message, or a line each of standard input",
		about: `Seals and publishes, and returns once the broker has acked: from then on every durable subscriber of the topic gets it.
Without a MESSAGE each line of standard input is one. What begins with a dash goes behind --.
` + accessHelp,
		examples: `fastport pub demo chat/general "hello"
tail -f app.log | fastport pub demo logs
fastport pub demo chat/general -- "--- 8< ---"
fastport pub demo sensors/1 21.5 --qos 0       # for those who are there now, never stored`,
		define: func(fs *flag.FlagSet) action {
			var p publisher
			p.access.declare(fs)
			fs.IntVar(&p.qos, "qos", 1, "`0` sends it once to who is there, 1 until it is acked")
			fs.IntVar(&p.suite, "suite", 2, "cipher suite to seal with; `1` is for clients of the first version")
			return func(ctx context.Context, e *env, args []string) error {
				if err := need(fs, args, 2, 3, "a session, a topic and perhaps a message"); err != nil {
					return err
				}
				if p.qos != 0 && p.qos != 1 {
					return usagef("--qos takes 0 or 1")
				}
				if p.suite != 1 && p.suite != 2 {
					return usagef("--suite takes 1 or 2")
				}
				return p.run(ctx, e, args)
			}
		},
	}
}

// publisher publishes messages in order, without waiting for one's ack before the next.
type publisher struct {
	access     access
	qos, suite int
}

// inFlight bounds how many messages wait for their acks. It is below the SDK's queue, so that none is refused while the
// connection is down.
const inFlight = 512

func (p *publisher) run(ctx context.Context, e *env, args []string) (err error) {
	pr, err := p.access.resolve(e, args[0])
	if err != nil {
		return err
	}
	c, err := p.access.connect(ctx, pr, e.say, func(o *client.Options) { o.Suite = p.suite })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.hangUp(ctx)) }()

	var messages <-chan []byte
	readErr := func() error { return nil }
	if len(args) == 3 {
		one := make(chan []byte, 1)
		one <- []byte(args[2])
		close(one)
		messages = one
	} else {
		if f, ok := e.Stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			e.say("publishing what you type, a message a line; Ctrl-D ends")
		}
		messages, readErr = lines(ctx, e.Stdin, c.Limits().MaxPayload)
	}
	acked, err := p.publish(ctx, c, args[1], messages)
	if err == nil {
		err = readErr()
	}
	if err == nil {
		return nil
	}
	if len(args) == 2 {
		return fmt.Errorf("%w (%d acked before)", pr.explain(err), acked)
	}
	return pr.explain(err)
}

// publish returns how many were acked, and the first failure, after which it publishes no more.
func (p *publisher) publish(ctx context.Context, c *device, topic string, messages <-chan []byte) (acked int, err error) {
	var options []client.PublishOption
	if p.qos == 0 {
		options = append(options, client.AtMostOnce())
	}
	var waiting []*client.Receipt // in order, at most inFlight
	for messages != nil || len(waiting) > 0 {
		next, first := messages, (<-chan struct{})(nil)
		if len(waiting) > 0 {
			first = waiting[0].Done()
		}
		if len(waiting) == inFlight {
			next = nil
		}
		select {
		case m, more := <-next:
			if !more {
				messages = nil
				continue
			}
			r, err := c.PublishAsync(ctx, topic, m, options...)
			if err != nil {
				return acked, err
			}
			waiting = append(waiting, r)
		case <-first:
			if err := waiting[0].Err(); err != nil {
				return acked, err
			}
			acked++
			waiting = waiting[1:]
		case <-c.Done():
			return acked, c.Err()
		case <-ctx.Done():
			return acked, ctx.Err()
		}
	}
	return acked, nil
}

// lines gives r's lines until it ends, fails or has one longer than longest bytes; err, to be called after the channel
// is closed, says which. The goroutine outlives ctx where r blocks: a read of a terminal cannot be broken off.
func lines(ctx context.Context, r io.Reader, longest int) (out <-chan []byte, err func() error) {
	ch := make(chan []byte)
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, longest)
	go func() {
		defer close(ch)
		for scan.Scan() {
			select {
			case ch <- bytes.Clone(scan.Bytes()):
			case <-ctx.Done():
				return
			}
		}
	}()
	return ch, func() error {
		if errors.Is(scan.Err(), bufio.ErrTooLong) {
			return fmt.Errorf("a line is longer than a message may be, %d bytes: send it as a file", longest)
		}
		return scan.Err()
	}
}
