package main

import (
	"strings"
	"testing"
)

func TestVerify_RefusesWhatDoesNotGoTogether(t *testing.T) {
	for _, args := range []string{
		"--rate 0", "--duration 0s", "--suite 3", "--local -1", "--local 3 --url http://h:1", "--local 3 --expect-faults", "--sentinel",
		"--no-faults", "--only drain", "--logs x", "--local 3 --no-faults --only drain", "--url ftp://h", "surplus",
	} {
		code, _, told := call(t, nil, "", strings.Fields("verify "+args)...)
		if code != exitUsage || told == "" {
			t.Errorf("verify %s: exit %d, said %q; want %d and why", args, code, told, exitUsage)
		}
	}
}

func TestVerify_HelpTellsOfEveryFault(t *testing.T) {
	_, out, _ := call(t, nil, "", "help", "verify")
	for _, want := range []string{"node-kill", "redis-deaf", "--expect-faults", "docs/verify.md"} {
		if !strings.Contains(out, want) {
			t.Errorf("help verify does not tell of %s", want)
		}
	}
}
