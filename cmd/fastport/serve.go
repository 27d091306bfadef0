package main

import (
	"context"
	"errors"
	"flag"
)

func serveCommand() command {
	return command{
		name: "serve", group: "Broker", summary: "run a broker",
		about:    "Runs one node until SIGINT or SIGTERM. It needs no setting at all: alone it keeps its data in ./data.",
		examples: "fastport serve\nfastport serve --port 8080 --db-type memory",
		define: func(fs *flag.FlagSet) action {
			settingFlags(fs, new(Config).settings())
			return func(context.Context, *env, []string) error { return errors.New("serve: not there yet") }
		},
	}
}
