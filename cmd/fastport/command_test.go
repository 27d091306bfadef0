package main

import (
	"bytes"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
)

// call runs a command line in this process and returns what came of it. Its profiles are in a folder of the test's own,
// unless vars name another.
func call(t *testing.T, vars environment, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	if vars["FASTPORT_HOME"] == "" {
		with := environment{"FASTPORT_HOME": t.TempDir()}
		for name, value := range vars {
			with[name] = value
		}
		vars = with
	}
	var out, told bytes.Buffer
	e := &env{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &told, Lookup: vars.lookup, ConfigDir: os.UserConfigDir}
	code = run(t.Context(), e, args)
	return code, out.String(), told.String()
}

// everyCommand calls f with each command that can be run and its whole name, groups too.
func everyCommand(f func(path string, c command)) {
	var walk func(prefix string, list []command)
	walk = func(prefix string, list []command) {
		for _, c := range list {
			f(prefix+c.name, c)
			walk(prefix+c.name+" ", c.commands)
		}
	}
	walk("", commands())
}

func TestHelp_NamesEveryCommandInOneLine(t *testing.T) {
	code, out, _ := call(t, nil, "", "help")
	if code != exitOK {
		t.Errorf("exit code = %d, want 0", code)
	}
	for _, c := range commands() {
		if c.summary == "" {
			continue
		}
		if !strings.Contains(out, "\n  "+c.name+" ") || !strings.Contains(out, c.summary) {
			t.Errorf("help does not tell of %s", c.name)
		}
		if strings.ContainsAny(c.summary, "\n") || strings.HasSuffix(c.summary, ".") || c.group == "" {
			t.Errorf("%s: summary %q, group %q", c.name, c.summary, c.group)
		}
	}
	_, session, _ := call(t, nil, "", "help", "session")
	for _, name := range []string{"create", "list", "suspend", "resume", "drop"} {
		if !strings.Contains(session, "\n  "+name+" ") {
			t.Errorf("help session does not tell of %s", name)
		}
	}
}

func TestHelp_IsTheSameByEveryWayAndHasExamples(t *testing.T) {
	everyCommand(func(path string, c command) {
		if c.summary == "" {
			return
		}
		words := strings.Fields(path)
		code, want, _ := call(t, nil, "", append([]string{"help"}, words...)...)
		if code != exitOK || !strings.Contains(want, "Usage:\n  fastport "+path) || !strings.Contains(want, "\nExamples:\n") {
			t.Errorf("help %s (exit code %d) lacks usage or examples:\n%s", path, code, want)
		}
		for _, flag := range []string{"--help", "-h"} {
			if code, got, _ := call(t, nil, "", append(words, flag)...); code != exitOK || got != want {
				t.Errorf("%s %s: exit code %d, and not what `help %s` shows:\n%s", path, flag, code, path, got)
			}
		}
	})
}

// An example with a flag that is not there, or the wrong number of words, teaches nonsense.
func TestHelp_ExamplesAreCommandLines(t *testing.T) {
	everyCommand(func(path string, c command) {
		for line := range strings.SplitSeq(c.examples, "\n") {
			line, _, _ = strings.Cut(line, " #")
			at := strings.LastIndex(line, "fastport ")
			if at < 0 {
				continue
			}
			typed := line[at+len("fastport "):]
			typed, _, _ = strings.Cut(typed, " |")
			typed, _, _ = strings.Cut(typed, " >")
			target, name, rest, err := find(strings.Fields(typed))
			if err != nil || target.define == nil {
				t.Errorf("%s: example %q: %v", path, line, err)
				continue
			}
			fs := flag.NewFlagSet(name, flag.ContinueOnError)
			target.define(fs)
			if _, err := parseFlags(fs, rest); err != nil {
				t.Errorf("%s: example %q: %v", path, line, err)
			}
		}
	})
}

func TestRun_FaultsOfTheCommandLineTeachInOneLine(t *testing.T) {
	for _, c := range []struct {
		line string
		want string
	}{
		{"", "`fastport help` lists them"},
		{"sned demo files x", "is it `fastport send`?"},
		{"session crate demo", "is it `fastport session create`?"},
		{"frobnicate", "`fastport help` lists what there is"},
		{"help frobnicate", "`fastport help` lists what there is"},
		{"session", "create, list, suspend, resume or drop"},
		{"--url http://x pub", "flags come after the command"},
		{"pub demo", "takes a session, a topic and perhaps a message"},
		{"pub demo t hello world", `"world" is one too many; put what has spaces in quotes`},
		{"pub demo t m --qos 2", "--qos takes 0 or 1"},
		{"pub demo t m --quos 1", "is it --qos?"},
		{"pub demo t m --password x", "Set FASTPORT_PASSWORD, or name a --password-file"},
		{"pub demo t m --key=x", "Set FASTPORT_KEY, or name a --key-file"},
		{"pub demo t m", "`fastport session create demo --save` makes it"},
		{"pub de/mo t m", "is no session's name"},
		{"pub demo t m --url localhost:3000", "it takes one like http://127.0.0.1:3000"},
		{"sub demo", "one topic or more"},
		{"sub demo t --count -1", "--count takes 0"},
		{"send demo files", "a session, a topic and a file"},
		{"recv demo files more", "one too many"},
		{"session drop demo", "FASTPORT_SECRET_KEY"},
		{"session create demo --suite 1", "--suite takes 0 or 2"},
		{"session create demo --message-expiry soon", "takes a time like 30m or 24h, or max"},
		{"keygen x", "one too many"},
		{"healthcheck not-an-address", "is no address of a broker"},
	} {
		code, out, told := call(t, nil, "", strings.Fields(c.line)...)
		if code != exitUsage || out != "" {
			t.Errorf("%q: exit code %d, want 2; printed %q", c.line, code, out)
		}
		if !strings.Contains(told, c.want) || strings.Count(told, "\n") != 1 || !strings.HasPrefix(told, "fastport: ") {
			t.Errorf("%q: told %q, want one line with %q", c.line, told, c.want)
		}
	}
}

func TestRun_AFailureIsExitCodeOneInOneLine(t *testing.T) {
	code, _, told := call(t, nil, "", "healthcheck", "http://127.0.0.1:1")
	if code != exitFailure || strings.Count(told, "\n") != 1 || !strings.Contains(told, "`fastport serve` starts a broker") {
		t.Errorf("exit code %d, told %q", code, told)
	}
}

func TestFlags_OfACommandStandBeforeBetweenAndBehindItsArguments(t *testing.T) {
	for _, line := range []string{"--json --count 3 demo a b", "demo --json a --count=3 b", "demo a b --count 3 --json"} {
		fs := flag.NewFlagSet("sub", flag.ContinueOnError)
		subCommand().define(fs)
		args, err := parseFlags(fs, strings.Fields(line))
		if err != nil || strings.Join(args, " ") != "demo a b" || fs.Lookup("json").Value.String() != "true" || fs.Lookup("count").Value.String() != "3" {
			t.Errorf("%q: arguments %q, json %s, count %s, %v", line, args, fs.Lookup("json").Value, fs.Lookup("count").Value, err)
		}
	}
}

func TestVersion_TellsOfTheProtocols(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		code, out, _ := call(t, nil, "", args...)
		if code != exitOK || !strings.HasPrefix(out, "fastport ") || !strings.Contains(out, "\ngo1.") || !strings.HasSuffix(out, "\nprotocol 1 and 2\n") {
			t.Errorf("%v: exit code %d, %q", args, code, out)
		}
	}
}

func TestHelp_StopsWhereNobodyReads(t *testing.T) {
	e := &env{Stdout: failingWriter{}, Stderr: io.Discard, Lookup: environment{}.lookup}
	if code := run(t.Context(), e, []string{"help"}); code != exitFailure {
		t.Errorf("exit code = %d, want 1", code)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
