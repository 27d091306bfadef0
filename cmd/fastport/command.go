package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
)

// command is one thing that fastport can be told to do, or a group of them.
type command struct {
	name     string
	group    string // heads a part of the overview
	summary  string // one line without a full stop; "" keeps the command out of help
	args     string // as in "SESSION TOPIC [MESSAGE]"
	about    string // what it does and where it takes things from
	examples string // lines that can be pasted, comments with # in front

	// define declares the command's flags and returns what runs once they are parsed. The action gets the arguments that
	// are no flags. It returns when ctx ends, and nil if that is how it is meant to end.
	define func(fs *flag.FlagSet) action

	commands []command // of a group, which has no define
}

type action func(ctx context.Context, e *env, args []string) error

// commands is the table of all there are, in the order that help shows.
func commands() []command {
	return []command{
		serveCommand(), migrateCommand(), rekeyCommand(), healthcheckCommand(), verifyCommand(), benchCommand(),
		sessionCommand(), keygenCommand(),
		pubCommand(), subCommand(), sendCommand(), recvCommand(), devicesCommand(),
		versionCommand(),
		configDocsCommand(),
	}
}

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// run runs one command line and returns the exit code. Every error is told here, once, as one line.
func run(ctx context.Context, e *env, args []string) int {
	err := dispatch(ctx, e, args)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(e.Stderr, "fastport:", oneLine(err))
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitFailure
}

func dispatch(ctx context.Context, e *env, args []string) error {
	if len(args) == 0 {
		return usagef("which command? `fastport help` lists them, and `fastport serve` starts a broker")
	}
	switch args[0] {
	case "help", "--help", "-h", "-help":
		return help(e.Stdout, args[1:])
	case "--version":
		args = []string{"version"}
	}
	if strings.HasPrefix(args[0], "-") {
		return usagef("flags come after the command, as in `fastport pub %s …`; `fastport help` lists the commands", args[0])
	}
	c, path, rest, err := find(args)
	if err != nil {
		return err
	}
	if c.define == nil {
		if len(rest) > 0 { // --help
			return writeHelp(e.Stdout, c, path)
		}
		return usagef("%s what? It takes %s; `fastport help %s` explains them", path, alternatives(c.commands), path)
	}
	fs := flag.NewFlagSet(path, flag.ContinueOnError)
	act := c.define(fs)
	rest, err = parseFlags(fs, rest)
	if errors.Is(err, flag.ErrHelp) {
		return writeHelp(e.Stdout, c, path)
	}
	if err != nil {
		return err
	}
	return act(ctx, e, rest)
}

// find follows words through the table: the command, its whole name, and the words that are left, which begin with a
// flag where the command is a group.
func find(words []string) (c command, path string, rest []string, err error) {
	c.commands, rest = commands(), words
	for c.define == nil && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		word := rest[0]
		i := slices.IndexFunc(c.commands, func(sub command) bool { return sub.name == word })
		if i < 0 {
			return c, path, rest, unknown(c, path, word)
		}
		c, rest = c.commands[i], rest[1:]
		path = strings.TrimPrefix(path+" "+c.name, " ")
	}
	return c, path, rest, nil
}

func unknown(group command, path, word string) error {
	var names []string
	for _, c := range group.commands {
		if c.summary != "" {
			names = append(names, c.name)
		}
	}
	full := strings.TrimPrefix(path+" "+word, " ")
	if near := nearest(word, names); near != "" {
		return usagef("there is no command %q: is it `fastport %s`?", full, strings.TrimPrefix(path+" "+near, " "))
	}
	return usagef("there is no command %q: `fastport help%s` lists what there is", full, strings.TrimRight(" "+path, " "))
}

func alternatives(list []command) string {
	var names []string
	for _, c := range list {
		names = append(names, c.name)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// oneLine is an error's text without line breaks, which joined errors have.
func oneLine(err error) string {
	return strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
}

// need checks how many arguments there are: at least min, and at most max unless it is negative.
func need(fs *flag.FlagSet, args []string, min, max int, takes string) error {
	switch {
	case len(args) < min:
		return usagef("%s takes %s; `fastport %s --help` shows how", fs.Name(), takes, fs.Name())
	case max >= 0 && len(args) > max:
		return usagef("%s takes %s, and %q is one too many; put what has spaces in quotes", fs.Name(), takes, args[max])
	}
	return nil
}
