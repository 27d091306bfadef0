package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/fastport/fastport/client"
)

func recvCommand() command {
	return command{
		name: "recv", group: "Devices", args: "SESSION TOPIC", summary: "receive files",
		about: `Puts each file that is sent on the topic into a folder, prints its path once it is whole and right, and waits for more
until it is interrupted. Nothing there is overwritten unless --overwrite allows it: a second photo.jpg is photo (1).jpg.
` + accessHelp,
		examples: `fastport recv demo files --dir inbox
fastport recv demo files --count 1 --max-size 100000000
fastport recv demo files | while read -r path; do xdg-open "$path"; done`,
		define: func(fs *flag.FlagSet) action {
			var r receiver
			r.access.declare(fs)
			fs.StringVar(&r.dir, "dir", ".", "put files into `FOLDER`, which is made if it is missing")
			fs.IntVar(&r.count, "count", 0, "end after `N` files")
			fs.BoolVar(&r.overwrite, "overwrite", false, "let a file replace one of the same name")
			fs.Int64Var(&r.maxSize, "max-size", 0, "decline files of more than `BYTES`")
			fs.BoolVar(&r.legacy, "allow-legacy", false, "take files of suite 1, which prove neither sender nor name")
			return func(ctx context.Context, e *env, args []string) error {
				if err := need(fs, args, 2, 2, "a session and a topic"); err != nil {
					return err
				}
				if r.count < 0 || r.maxSize < 0 {
					return usagef("--count and --max-size take 0, which is no bound, or more")
				}
				return r.run(ctx, e, args[0], args[1])
			}
		},
	}
}

type receiver struct {
	access    access
	dir       string
	count     int
	overwrite bool
	maxSize   int64
	legacy    bool
}

func (r *receiver) run(ctx context.Context, e *env, session, topic string) (err error) {
	pr, err := r.access.resolve(e, session)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(r.dir, 0o777); err != nil { // less the umask
		return err
	}
	show := newProgress(e, "receiving")
	c, err := r.access.connect(ctx, pr, show.Say, func(o *client.Options) { o.AllowLegacy = r.legacy })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hangUp(ctx, c)) }()
	stop := show.start(ctx)
	defer stop()

	saved := make(chan savedFile)
	ended := make(chan struct{})
	defer close(ended) // before hangUp, which waits for a Saved that is stuck
	err = c.ReceiveToDir(ctx, topic, r.dir, client.DirOptions{
		ReceiveOptions: client.ReceiveOptions{
			Progress: show.Report,
			Done: func(offer client.FileOffer, err error) {
				if err != nil {
					show.End(offer.FileID) // OnError says why
				}
			},
		},
		Overwrite: r.overwrite, MaxSize: r.maxSize,
		Saved: func(path string, offer client.FileOffer) {
			select {
			case saved <- savedFile{path, offer}:
			case <-ended:
			}
		},
	})
	if err != nil {
		return pr.explain(err)
	}
	show.Say("receiving files of %s into %s; waiting", printable(topic), r.dir)
	for n := 0; r.count == 0 || n < r.count; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-c.Done():
			return pr.explain(c.Err())
		case s := <-saved:
			m := show.End(s.offer.FileID)
			show.Say("received %s, %s", printable(s.offer.Name), m.summary())
			if _, err := fmt.Fprintln(e.Stdout, s.path); err != nil {
				return err
			}
		}
	}
	return nil
}

type savedFile struct {
	path  string
	offer client.FileOffer
}
