package main

import (
	"context"
	"errors"
	"flag"
)

func recvCommand() command {
	return command{name: "recv", group: "Devices", summary: "receive files", define: func(*flag.FlagSet) action {
		return func(context.Context, *env, []string) error { return errors.New("recv: not there yet") }
	}}
}
