package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// help writes the overview, or what there is to know of one command.
func help(w io.Writer, words []string) error {
	if len(words) == 0 || strings.HasPrefix(words[0], "-") {
		return overview(w)
	}
	c, path, rest, err := find(words)
	if err != nil {
		return err
	}
	if len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return usagef("%s has no command %q", path, rest[0])
	}
	return writeHelp(w, c, path)
}

func overview(w io.Writer) error {
	var b strings.Builder
	b.WriteString("fastport is a broker for sealed messages and files between devices, and the tools around it.\n")
	group := ""
	for _, c := range commands() {
		if c.summary == "" {
			continue
		}
		if c.group != group {
			group = c.group
			fmt.Fprintf(&b, "\n%s\n", group)
		}
		fmt.Fprintf(&b, "  %-12s %s\n", c.name, c.summary)
	}
	b.WriteString(`
A first session, with a broker in one terminal and the rest in others:
  fastport serve
  fastport session create demo --save
  fastport sub demo chat/general
  fastport pub demo chat/general "hello"
  fastport recv demo files --dir inbox
  fastport send demo files photo.jpg

` + "`fastport help COMMAND`" + ` tells more of each, with examples. Exit codes: 0 done, 1 failed, 2 a fault of the command line.
`)
	_, err := io.WriteString(w, b.String())
	return err
}

func writeHelp(w io.Writer, c command, path string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "fastport %s: %s\n\nUsage:\n", path, c.summary)
	if c.define == nil {
		for _, sub := range c.commands {
			fmt.Fprintf(&b, "  fastport %s %s\n", path, strings.TrimSpace(sub.name+" "+sub.args))
		}
	} else {
		fmt.Fprintf(&b, "  fastport %s\n", strings.TrimSpace(path+" "+c.args))
	}
	section(&b, "", c.about)
	if c.define == nil {
		b.WriteString("\nCommands:\n")
		for _, sub := range c.commands {
			fmt.Fprintf(&b, "  %-12s %s\n", sub.name, sub.summary)
		}
	} else {
		fs := flag.NewFlagSet(path, flag.ContinueOnError)
		c.define(fs)
		writeFlags(&b, fs)
	}
	section(&b, "\nExamples:", c.examples)
	_, err := io.WriteString(w, b.String())
	return err
}

// section writes a text under a heading, indented where there is one.
func section(b *strings.Builder, heading, text string) {
	if text = strings.TrimSpace(text); text == "" {
		return
	}
	indent := ""
	if heading != "" {
		indent = "  "
	}
	b.WriteString(heading + "\n")
	for line := range strings.SplitSeq(text, "\n") {
		b.WriteString(strings.TrimRight(indent+line, " ") + "\n")
	}
}

// writeFlags lists flags as they are typed, with two dashes.
func writeFlags(b *strings.Builder, fs *flag.FlagSet) {
	var lines [][2]string
	widest := 0
	fs.VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		typed := strings.TrimSpace("--" + f.Name + " " + value)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" && f.DefValue != "-1" && f.DefValue != "0s" {
			text += " (default " + f.DefValue + ")"
		}
		lines = append(lines, [2]string{typed, text})
		widest = max(widest, len(typed))
	})
	if len(lines) == 0 {
		return
	}
	b.WriteString("\nFlags, before or after the arguments:\n")
	for _, line := range lines {
		fmt.Fprintf(b, "  %-*s  %s\n", widest, line[0], line[1])
	}
}
