package main

import (
	"context"
	"errors"
	"flag"
)

func sendCommand() command {
	return command{name: "send", group: "Devices", summary: "send a file", define: func(*flag.FlagSet) action {
		return func(context.Context, *env, []string) error { return errors.New("send: not there yet") }
	}}
}
