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
		name: "recv", group: "Devices", args: "[DIR]", summary: "receive files into a folder",
		about: `Receives files until it is interrupted, into DIR or else this folder, and prints the path of each. A file gets its name once
it is whole and right; one of the same name is not touched.
` + accessHelp,
		examples: `fastport recv
fastport recv ~/Downloads --topic backups --count 1`,
		define: func(fs *flag.FlagSet) action {
			var a access
			a.clientFlags(fs)
			topic := fs.String("topic", defaultFileTopic, "`topic` to receive from")
			count := fs.Int("count", 0, "end after so many `files`")
			maxSize := fs.Int64("max-size", 0, "decline files of more `bytes`")
			overwrite := fs.Bool("overwrite", false, "replace files of the same name")
			return func(ctx context.Context, e *env, args []string) error {
				if err := need(fs, args, 0, 1, "one folder"); err != nil {
					return err
				}
				if *count < 0 || *maxSize < 0 {
					return usagef("--count and --max-size take 1 or more")
				}
				dir := "."
				if len(args) == 1 {
					dir = args[0]
				}
				if err := os.MkdirAll(dir, 0o755); err != nil {
					return err
				}
				cl, err := a.connect(ctx, e)
				if err != nil {
					return err
				}
				in := &incoming{env: e, left: *count, done: make(chan struct{}), meters: make(map[string]*meter)}
				err = cl.ReceiveToDir(ctx, *topic, dir, client.DirOptions{
					ReceiveOptions: client.ReceiveOptions{Progress: in.progress, Done: in.ended},
					Overwrite:      *overwrite, MaxSize: *maxSize, Saved: in.saved,
				})
				if err != nil {
					return errors.Join(err, closeClient(cl))
				}
				fmt.Fprintf(e.Stderr, "waiting for files on %s\n", printable(*topic))
				select {
				case <-ctx.Done():
				case <-in.done:
				case <-cl.Done():
					return cl.Err()
				}
				return closeClient(cl)
			}
		},
	}
}

// incoming shows the files that come, several at once perhaps.
type incoming struct {
	env  *env
	done chan struct{} // closed when count files have been saved

	mu     sync.Mutex // guards the following
	left   int        // files; 0: no end
	meters map[string]*meter
}

func (in *incoming) progress(p client.FileProgress) {
	in.mu.Lock()
	defer in.mu.Unlock()
	m := in.meters[p.FileID]
	if m == nil {
		m = newMeter(in.env.Stderr, "receiving", p.Name)
		in.meters[p.FileID] = m
	}
	m.update(p.Done, p.Size, 0)
}

func (in *incoming) ended(offer client.FileOffer, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if m := in.meters[offer.FileID]; m != nil {
		m.end(err)
		delete(in.meters, offer.FileID)
	}
}

func (in *incoming) saved(path string, _ client.FileOffer) {
	in.mu.Lock()
	defer in.mu.Unlock()
	fmt.Fprintln(in.env.Stdout, path)
	if in.left > 0 {
		if in.left--; in.left == 0 {
			close(in.done)
		}
	}
}
