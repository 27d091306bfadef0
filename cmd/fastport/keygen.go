package main

import (
	"context"
	"errors"
	"flag"
)

func keygenCommand() command {
	return command{name: "keygen", group: "Sessions", summary: "make a key", define: func(*flag.FlagSet) action {
		return func(context.Context, *env, []string) error { return errors.New("keygen: not there yet") }
	}}
}
