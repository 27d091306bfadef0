package main

import (
	"context"
	"errors"
	"flag"
)

func subCommand() command {
	return command{name: "sub", group: "Devices", summary: "print messages as they come", define: func(*flag.FlagSet) action {
		return func(context.Context, *env, []string) error { return errors.New("sub: not there yet") }
	}}
}
