package main

import (
	"context"
	"errors"
	"flag"
)

func migrateCommand() command {
	return command{
		name: "migrate", group: "Broker", summary: "bring the store's schema up to date",
		examples: "fastport migrate",
		define: func(*flag.FlagSet) action {
			return func(context.Context, *env, []string) error { return errors.New("migrate: not there yet") }
		},
	}
}
