package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/fastport/fastport/client"
	"golang.org/x/term"
)

// maxLine bounds a message from standard input: sealed and encoded, it still fits the server's largest frame.
const maxLine = 7 << 20

func pubCommand() command {
	return command{
		name: "pub", group: "Devices", args: "TOPIC [MESSAGE]", summary: "publish a message, or one for each line of standard input",
		about: `Publishes, and returns once the server has stored it for every durable subscriber. Without MESSAGE, each line of standard
input is a message; they are sent one behind the other without waiting for each.
` + accessHelp,
		examples: `fastport pub news "hello"
tail -f app.log | fastport pub logs/app`,
		define: func(fs *flag.FlagSet) action {
			var a access
			a.clientFlags(fs)
			id := fs.String("message-id", "", "`id` of MESSAGE: published again with the same within 15 minutes, it is delivered once")
			once := fs.Bool("at-most-once", false, "for whoever is there now: never stored, never sent again")
			timeout := fs.Duration("timeout", 30*time.Second, "how long a message may take to be acked")
			return func(ctx context.Context, e *env, args []string) error {
				if err := need(fs, args, 1, 2, "a topic and a message"); err != nil {
					return err
				}
				if *id != "" && len(args) == 1 {
					return usagef("--message-id is of one message: give MESSAGE")
				}
				var opts []client.PublishOption
				if *once {
					opts = append(opts, client.AtMostOnce())
				}
				if *id != "" {
					opts = append(opts, client.WithMessageID(*id))
				}
				cl, err := a.connect(ctx, e)
				if err != nil {
					return err
				}
				if len(args) == 2 {
					ctx, cancel := context.WithTimeout(ctx, *timeout)
					defer cancel()
					return errors.Join(cl.Publish(ctx, args[0], []byte(args[1]), opts...), closeClient(cl))
				}
				return errors.Join(e.publishLines(ctx, cl, args[0], *timeout, opts), closeClient(cl))
			}
		},
	}
}

// publishLines publishes each line as it comes. A line that fails does not stop the others.
func (e *env) publishLines(ctx context.Context, cl *client.Client, topic string, timeout time.Duration, opts []client.PublishOption) error {
	if f, ok := e.Stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintln(e.Stderr, "one message a line; Ctrl-D ends")
	}
	// Bounded: a reader that is faster than the server waits.
	receipts := make(chan *client.Receipt, 1024)
	failed := make(chan int, 1)
	go func() {
		n := 0
		for r := range receipts {
			if err := waitReceipt(r, timeout); err != nil {
				fmt.Fprintf(e.Stderr, "fastport: message %s: %s\n", r.MessageID(), explain(err))
				n++
			}
		}
		failed <- n
	}()
	err := e.readLines(ctx, func(line []byte) error {
		r, err := cl.PublishAsync(ctx, topic, line, opts...)
		if err == nil {
			receipts <- r
		}
		return err
	})
	close(receipts)
	if n := <-failed; n > 0 {
		err = errors.Join(err, fmt.Errorf("%d messages were not acked", n))
	}
	return err
}

func waitReceipt(r *client.Receipt, timeout time.Duration) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-r.Done():
		return r.Err()
	case <-timer.C:
		return fmt.Errorf("no ack within %v", timeout)
	}
}

// readLines calls each with every line of standard input, without its end, until ctx ends. Each keeps the line.
func (e *env) readLines(ctx context.Context, each func(line []byte) error) error {
	type result struct {
		line []byte
		err  error
	}
	lines := make(chan result)
	go func() { // a read from a terminal cannot be interrupted: it ends with the process
		r := bufio.NewScanner(e.Stdin)
		r.Buffer(make([]byte, 0, 64<<10), maxLine)
		for r.Scan() {
			select {
			case lines <- result{line: append([]byte(nil), r.Bytes()...)}:
			case <-ctx.Done():
				return
			}
		}
		err := r.Err()
		if err == nil {
			err = io.EOF
		} else if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("a line is longer than %d bytes: send it as a file", maxLine)
		}
		select {
		case lines <- result{err: err}:
		case <-ctx.Done():
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case r := <-lines:
			if errors.Is(r.err, io.EOF) {
				return nil
			}
			if r.err != nil {
				return r.err
			}
			if err := each(r.line); err != nil {
				return err
			}
		}
	}
}
