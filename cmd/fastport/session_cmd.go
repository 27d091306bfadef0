package main

import (
	"context"
	"errors"
	"flag"
)

func sessionCommand() command {
	return command{name: "session", group: "Sessions", summary: "create, list, suspend, resume and drop sessions", define: func(*flag.FlagSet) action {
		return func(context.Context, *env, []string) error { return errors.New("session: not there yet") }
	}}
}
