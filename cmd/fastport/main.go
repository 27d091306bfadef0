// Command fastport is the broker and the tools around it. `fastport help` lists its commands; the table of them is in
// command.go, and each command's own file says what it does.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

//go:generate go run . config-docs ../../docs/configuration.md

func main() {
	e := &env{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Lookup: os.LookupEnv, ConfigDir: os.UserConfigDir}
	ctx, again := untilSignal()
	e.Again = again
	os.Exit(run(ctx, e, os.Args[1:]))
}

// env is what a command sees of the process it runs in.
type env struct {
	Stdin     io.Reader
	Stdout    io.Writer // results alone: others read them
	Stderr    io.Writer // what people are told meanwhile
	Lookup    func(name string) (string, bool)
	ConfigDir func() (string, error) // the user's, for profiles
	Again     <-chan struct{}        // gets the second signal, where somebody waits for it; nil: none comes
}

// setting is a variable of the environment; one that is there but empty is not there.
func (e *env) setting(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// exitInterrupted is what shells say of a process that ended on SIGINT.
const exitInterrupted = 130

// untilSignal is a context that ends with the first SIGINT or SIGTERM. The second one goes to who waits for it, and else
// ends the process at once, as the third does.
func untilSignal() (ctx context.Context, again <-chan struct{}) {
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan os.Signal, 3)
	signal.Notify(got, os.Interrupt, syscall.SIGTERM)
	second := make(chan struct{})
	go func() {
		<-got
		cancel()
		<-got
		select {
		case second <- struct{}{}:
			<-got
		default:
		}
		os.Exit(exitInterrupted)
	}()
	return ctx, second
}
