package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"mime"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fastport/fastport/client"
	"github.com/fastport/fastport/protocol"
)

func sendCommand() command {
	return command{
		name: "send", group: "Devices", args: "SESSION TOPIC FILE", summary: "send a file",
		about: `Sends a file to all who receive on the topic now, and returns once those that stayed have it whole. A lost connection
is mended by itself, and the file goes on where it was. The broker sees neither its name nor its content.
` + accessHelp,
		examples: `fastport send demo files photo.jpg
fastport send demo files backup.tar.zst --wait     # for somebody to receive it`,
		define: func(fs *flag.FlagSet) action {
			var a access
			a.declare(fs)
			fs.Lookup("wait").Usage = "wait for the broker, and for somebody who receives"
			suite := fs.Int("suite", 2, "cipher suite to seal with; `1` is for clients of the first version")
			return func(ctx context.Context, e *env, args []string) error {
				if err := need(fs, args, 3, 3, "a session, a topic and a file"); err != nil {
					return err
				}
				if *suite != 1 && *suite != 2 {
					return usagef("--suite takes 1 or 2")
				}
				return send(ctx, e, &a, *suite, args[0], args[1], args[2])
			}
		},
	}
}

func send(ctx context.Context, e *env, a *access, suite int, session, topic, path string) (err error) {
	pr, err := a.resolve(e, session)
	if err != nil {
		return err
	}
	f, info, err := openFile(path)
	if err != nil {
		return err
	}
	defer f.Close()

	show := newProgress(e, "sending")
	c, err := a.connect(ctx, pr, show.Say, func(o *client.Options) { o.Suite = suite })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.hangUp(ctx)) }()
	stop := show.start(ctx)
	defer stop()

	last := client.FileProgress{}
	options := client.FileOptions{
		Type:     mime.TypeByExtension(filepath.Ext(path)),
		Progress: func(p client.FileProgress) { last = p; show.Report(p) },
	}
	name := filepath.Base(path)
	for told := false; ; told = true {
		err = c.SendFile(ctx, topic, name, info.Size(), f, options)
		if !a.wait || !client.IsCode(err, protocol.NoReceivers) {
			break
		}
		if !told {
			show.Say("nobody receives on %s yet; waiting", printable(topic))
		}
		if err = again(ctx, f); err != nil {
			break
		}
	}
	m := show.End(last.FileID)
	if err != nil {
		return fmt.Errorf("%s was not sent: %w", path, pr.explain(err))
	}
	show.Say("sent %s to %s, %s", printable(name), receivers(last.Receivers), m.summary())
	return nil
}

// openFile opens what can be sent: a file with a size and an end.
func openFile(path string) (*os.File, os.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, nil, err
	case info.IsDir():
		return nil, nil, usagef("%s is a folder: pack it first, as in `tar czf %s.tgz %s`", path, filepath.Base(path), path)
	case !info.Mode().IsRegular():
		return nil, nil, usagef("%s is no plain file: write it to one first", path)
	}
	f, err := os.Open(path)
	return f, info, err
}

// again waits a moment and goes back to the file's start.
func again(ctx context.Context, f *os.File) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Second):
	}
	_, err := f.Seek(0, 0)
	return err
}

func receivers(n int) string {
	if n == 1 {
		return "1 receiver"
	}
	return fmt.Sprintf("%d receivers", n)
}

// start runs the display until the function that it returns is called, which waits for it.
func (p *progress) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { p.Run(ctx) })
	return func() { cancel(); wg.Wait() }
}
