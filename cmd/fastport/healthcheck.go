package main

import (
	"context"
	"errors"
	"flag"
)

func healthcheckCommand() command {
	return command{name: "healthcheck", group: "Broker", summary: "ask a broker whether it is ready", define: func(*flag.FlagSet) action {
		return func(context.Context, *env, []string) error { return errors.New("healthcheck: not there yet") }
	}}
}
