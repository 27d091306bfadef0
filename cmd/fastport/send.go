package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"mime"
	"os"
	"path/filepath"

	"github.com/fastport/fastport/client"
)

const defaultFileTopic = "files"

func sendCommand() command {
	return command{
		name: "send", group: "Devices", args: "FILE...", summary: "send files to whoever receives them now",
		about: `Sends each file, sealed, to all that run recv on the topic, and returns once those that stayed have it. A lost connection is
mended and the file goes on from where it was.
` + accessHelp,
		examples: `fastport send photo.jpg
fastport send backup.tar --topic backups`,
		define: func(fs *flag.FlagSet) action {
			var a access
			a.clientFlags(fs)
			topic := fs.String("topic", defaultFileTopic, "`topic` to send on")
			return func(ctx context.Context, e *env, files []string) error {
				if err := need(fs, files, 1, -1, "a file"); err != nil {
					return err
				}
				for _, name := range files { // before anything is sent
					if info, err := os.Stat(name); err != nil {
						return err
					} else if !info.Mode().IsRegular() {
						return usagef("%s is no file: pack a folder first, with tar or zip", name)
					}
				}
				cl, err := a.connect(ctx, e)
				if err != nil {
					return err
				}
				for _, name := range files {
					if err := e.sendFile(ctx, cl, *topic, name); err != nil {
						return errors.Join(fmt.Errorf("%s: %w", name, err), closeClient(cl))
					}
				}
				return closeClient(cl)
			}
		},
	}
}

func (e *env) sendFile(ctx context.Context, cl *client.Client, topic, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	m := newMeter(e.Stderr, "sending", filepath.Base(name))
	err = cl.SendFile(ctx, topic, filepath.Base(name), info.Size(), f, client.FileOptions{
		Type:     mime.TypeByExtension(filepath.Ext(name)),
		Progress: func(p client.FileProgress) { m.update(p.Done, p.Size, p.Receivers) },
	})
	m.end(err)
	return err
}
