package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// configDocsCommand is for `go generate`. Without a summary it is not in help.
func configDocsCommand() command {
	return command{name: "config-docs", args: "[FILE]", define: func(*flag.FlagSet) action {
		return func(_ context.Context, e *env, args []string) error {
			if len(args) == 0 {
				return writeConfigDocs(e.Stdout)
			}
			var b bytes.Buffer
			if err := writeConfigDocs(&b); err != nil {
				return err
			}
			return os.WriteFile(args[0], b.Bytes(), 0o644)
		}
	}}
}

// writeConfigDocs writes docs/configuration.md. A test fails where the file and the table differ.
func writeConfigDocs(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# Configuration

<!-- Written by "fastport config-docs" from the table in cmd/fastport/config.go: change it there. -->

` + "`fastport serve`" + ` needs no setting at all. A setting is looked for as a flag, then in the environment, then in the
file ` + "`.env`" + ` of the folder it runs in (or the one that ` + "`--env-file`" + ` names); one that is there but empty stands for its
default. Durations are written as Go does (` + "`25s`, `1h30m`" + `), sizes are in bytes. Secrets have no flag, since other users
of a machine can read its command lines. Every bad setting is named at start, all of them at once, and nothing starts.

In ` + "`.env`" + `: ` + "`NAME=value`" + ` a line, with ` + "`export`" + ` in front or not; ` + "` #`" + ` begins a comment; in single quotes a value is taken
as it is, in double quotes ` + "`\\n`, `\\t`, `\\\"` and `\\\\`" + ` stand for what they do elsewhere; nothing is expanded.
`)
	for _, s := range new(Config).settings() {
		if s.Section != "" {
			fmt.Fprintf(&b, "\n## %s\n\n| setting | flag | takes | default | |\n|---|---|---|---|---|\n", s.Section)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Name, code("--", s.Flag()), s.Value.Takes(), code("", s.Default), s.Help)
	}
	b.WriteString(`
## Which to look at first

- ` + "`ADMIN_PASS`" + `: without it there is no admin API. Shorter than 12 characters refuses to start.
- ` + "`SESSION_CREATION=admin`" + ` on a server that strangers can reach; else anybody may create sessions on it.
- ` + "`TLS_CERT` and `TLS_KEY`" + `, or a proxy that speaks TLS in front and is named in ` + "`TRUSTED_PROXIES`" + `: else every client behind
  the proxy shares one address, and its limits.
- ` + "`CORS_ORIGINS`" + ` where web pages connect.
- ` + "`MASTER_KEY`, or a backup of `MASTER_KEY_FILE`" + `: what it sealed cannot be opened without it.
`)
	_, err := io.WriteString(w, b.String())
	return err
}

func code(prefix, s string) string {
	if s == "" {
		return "none"
	}
	return "`" + prefix + s + "`"
}
