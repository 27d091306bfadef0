package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
)

func migrateCommand() command {
	return command{
		name: "migrate", group: "Broker", summary: "bring the store's schema up to date",
		about: `Brings the tables of the store up to this version, and ends. serve does the same at its start, so this is for those who
want it done before, or with other rights. The settings are those of serve. On Postgres several may run at once: one does
it and the others wait.`,
		examples: "fastport migrate\nDATABASE_URL=postgres://owner:secret@db/fastport fastport migrate",
		define: func(fs *flag.FlagSet) action {
			load := configFlags(fs)
			return func(ctx context.Context, e *env, args []string) error {
				if err := need(fs, args, 0, 0, "no arguments"); err != nil {
					return err
				}
				c, err := load(e)
				if err != nil {
					return err
				}
				s, text, err := openStore(ctx, c)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(e.Stdout, "up to date: %s\n", text)
				return errors.Join(err, s.Close())
			}
		},
	}
}
