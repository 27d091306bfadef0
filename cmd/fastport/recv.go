package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"sync"

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
	defer func() { err = errors.Join(err, c.hangUp(ctx)) }()
	stop := show.start(ctx)
	defer stop()

	in := &arrivals{show: show, paths: make(map[string]string), whole: make(chan savedFile), ended: make(chan struct{})}
	defer close(in.ended) // before hangUp, which waits for an arrival that nobody takes
	err = c.ReceiveToDir(ctx, topic, r.dir, client.DirOptions{
		ReceiveOptions: client.ReceiveOptions{Progress: show.Report, Done: in.done},
		Overwrite:      r.overwrite, MaxSize: r.maxSize, Saved: in.saved,
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
		case s := <-in.whole:
			show.Say("received %s, %s", printable(s.name), s.meter.summary())
			if _, err := fmt.Fprintln(e.Stdout, s.path); err != nil {
				return err
			}
		}
	}
	return nil
}

// arrivals are the files that came whole.
type arrivals struct {
	show  *progress
	whole chan savedFile
	ended chan struct{} // closed when nobody reads whole any more

	mu    sync.Mutex // guards the following
	paths map[string]string
}

type savedFile struct {
	path, name string
	meter      meter
}

// saved notes where a file is. It comes before the file's last progress and its last ack.
func (a *arrivals) saved(path string, offer client.FileOffer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.paths[offer.FileID] = path
}

// done comes last of all. Why a file failed is told by OnError.
func (a *arrivals) done(offer client.FileOffer, err error) {
	m := a.show.End(offer.FileID)
	a.mu.Lock()
	path := a.paths[offer.FileID]
	delete(a.paths, offer.FileID)
	a.mu.Unlock()
	if err != nil {
		return
	}
	select {
	case a.whole <- savedFile{path, offer.Name, m}:
	case <-a.ended:
	}
}
