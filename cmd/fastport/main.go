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
	os.Exit(run(untilSignal(), e, os.Args[1:]))
}

// env is what a command sees of the process it runs in.
type env struct {
	Stdin     io.Reader
	Stdout    io.Writer // results alone: others read them
	Stderr    io.Writer // what people are told meanwhile
	Lookup    func(name string) (string, bool)
	ConfigDir func() (string, error) // the user's, for profiles
}

// setting is a variable of the environment; one that is there but empty is not there.
func (e *env) setting(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// exitInterrupted is what shells say of a process that ended on SIGINT.
const exitInterrupted = 130

// untilSignal is a context that ends with the first SIGINT or SIGTERM. The second one ends the process at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan os.Signal, 2)
	signal.Notify(got, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-got
		cancel()
		<-got
		os.Exit(exitInterrupted)
	}()
	return ctx
}
