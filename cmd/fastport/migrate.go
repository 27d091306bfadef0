package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/fastport/fastport/storage"
)

func migrateCommand() command {
	return command{
		name: "migrate", group: "Broker", summary: "bring the store's schema up to date",
		about: `Brings the tables of the store up to this version, and ends. serve does the same at its start, so this is for those who
want it done before, or with other rights. The settings are those of serve. On Postgres several may run at once: one does
it and the others wait.`,
		examples: "fastport migrate\nDATABASE_URL=postgres://owner:secret@db/fastport fastport migrate --wait 2m",
		define: func(fs *flag.FlagSet) action {
			wait := fs.Duration("wait", 0, "wait for this `TIME` at most where the store cannot be reached yet")
			return configured(fs, func(ctx context.Context, e *env, c *Config) error {
				s, text, err := awaitStore(ctx, c, *wait, e.say)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(e.Stdout, "up to date: %s\n", text)
				return errors.Join(err, s.Close())
			})
		},
	}
}

// awaitStore opens the store, and tries again for up to wait while it cannot be reached.
func awaitStore(ctx context.Context, c *Config, wait time.Duration, say sayFunc) (s storage.Store, text string, err error) {
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for begun := time.Now(); ; {
		s, text, err = openStore(ctx, c)
		if !errors.Is(err, storage.ErrUnavailable) || ctx.Err() != nil || time.Since(begun) >= wait {
			return s, text, err
		}
		say("not yet: %v", err)
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, "", err
		}
	}
}
