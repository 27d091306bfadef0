package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// parseFlags parses flags anywhere among the arguments (after "--", all is an argument) and returns the arguments.
// An unknown flag is an error that names the nearest one there is.
func parseFlags(fs *flag.FlagSet, args []string) ([]string, error) {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			return nil, teach(fs, err)
		}
		left := fs.Args()
		if len(left) == 0 {
			return rest, nil
		}
		if at := len(args) - len(left); at > 0 && args[at-1] == "--" {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

// usageError is a fault of the command line: exit code 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

func teach(fs *flag.FlagSet, err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: ")
	if !ok {
		return usagef("%s. `fastport %s --help` shows how", strings.Replace(err.Error(), "flag -", "flag --", 1), fs.Name())
	}
	name = strings.TrimLeft(name, "-")
	for _, s := range new(Config).settings() {
		if s.Secret() && strings.EqualFold(strings.ReplaceAll(name, "-", "_"), s.Name) {
			return usagef("there is no --%s: other users of this machine can read command lines. Set %s in the environment or in .env", name, s.Name)
		}
	}
	if from := deviceSecrets[name]; from != "" {
		return usagef("there is no --%s: other users of this machine can read command lines. %s", name, from)
	}
	var names []string
	fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	hint := ""
	if near := nearest(name, names); near != "" {
		hint = ": is it --" + near + "?"
	}
	return usagef("there is no flag --%s%s `fastport %s --help` lists them", name, or(hint, "."), fs.Name())
}

// deviceSecrets are what people try to give to the commands of devices, and where it is taken from.
var deviceSecrets = map[string]string{
	"key":        "Set FASTPORT_KEY, or name a --key-file",
	"password":   "Set FASTPORT_PASSWORD, or name a --password-file",
	"secret-key": "Set FASTPORT_SECRET_KEY",
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// nearest is the name that is fewest edits from the one given, "" where none is near.
func nearest(name string, names []string) string {
	best, least := "", min(len(name)/2+1, 3)
	for _, n := range names {
		if d := edits(name, n); d < least {
			best, least = n, d
		}
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// settingFlags declares a flag for every setting that is no secret; what is given lands in the map returned.
func settingFlags(fs *flag.FlagSet, table []setting) map[string]string {
	given := make(map[string]string)
	for _, s := range table {
		if s.Flag() == "" {
			continue
		}
		keep := func(text string) error { given[s.Name] = text; return nil }
		if _, yes := s.Value.(boolValue); yes {
			fs.BoolFunc(s.Flag(), flagHelp(s), keep)
		} else {
			fs.Func(s.Flag(), flagHelp(s), keep)
		}
	}
	return given
}

// flagHelp is a setting's help with its default.
func flagHelp(s setting) string {
	help := or(s.Help, "See "+s.Name+".")
	if s.Default != "" {
		help += " Default: " + s.Default + "."
	}
	return strings.ReplaceAll(help, "`", "")
}

// configured declares all the settings, and returns what takes no arguments and runs with the Config that they make.
func configured(fs *flag.FlagSet, run func(context.Context, *env, *Config) error) action {
	load := configFlags(fs)
	return func(ctx context.Context, e *env, args []string) error {
		if err := need(fs, args, 0, 0, "no arguments"); err != nil {
			return err
		}
		c, err := load(e)
		if err != nil {
			return err
		}
		return run(ctx, e, c)
	}
}

// configFlags declares all the settings, and --env-file, and returns what loads the Config from them. The warnings have
// been told by then.
func configFlags(fs *flag.FlagSet) func(*env) (*Config, error) {
	given := settingFlags(fs, new(Config).settings())
	file := fs.String("env-file", "", "`file` of settings, NAME=value a line (default .env, where there is one)")
	return func(e *env) (*Config, error) {
		c, err := load(sources{Flags: given, Env: e.Lookup, File: or(*file, ".env"), FileSet: *file != ""})
		for _, w := range c.Warnings {
			fmt.Fprintf(e.Stderr, "fastport: warning: %s\n", w)
		}
		if err == nil {
			return c, nil
		}
		for fault := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintf(e.Stderr, "fastport: %s\n", fault)
		}
		return nil, usagef("nothing was started: mend what is named above; docs/configuration.md tells of every setting")
	}
}
