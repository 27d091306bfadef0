package main

import (
	"context"
	"errors"
	"flag"
)

func pubCommand() command {
	return command{name: "pub", group: "Devices", summary: "publish a message, or a line each of standard input", define: func(*flag.FlagSet) action {
		return func(context.Context, *env, []string) error { return errors.New("pub: not there yet") }
	}}
}
