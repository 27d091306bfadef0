package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// The README's figures stand between these.
const (
	figuresFrom = "<!-- figures: made by `make bench` -->\n"
	figuresTo   = "<!-- end of figures -->\n"
)

// figures are the README's: a line for each of what people ask for, of medians.
func figures(list []record) string {
	of := func(scenario, server string, m metric) string {
		if v, ok := m.value(measured(list, scenario, server)); ok {
			return number(v)
		}
		return "?"
	}
	var b strings.Builder
	b.WriteString("\n| | |\n|---|---|\n")
	line := func(what, format string, values ...any) {
		fmt.Fprintf(&b, "| %s | %s |\n", what, fmt.Sprintf(format, values...))
	}
	line("acked publishes, each synced to SQLite, receivers ack", "%s/s; at 5,000/s p50 %s ms, p99 %s ms",
		of("pairs", "fastport", acked), of("latency", "fastport", p50), of("latency", "fastport", p99))
	line("deliveries, one message to 100 subscribers", "%s/s, at %s CPU seconds a million (NATS beside it: %s/s at %s)",
		of("fanout-100", "fastport", delivered), of("fanout-100", "fastport", cpu), of("fanout-100", "nats", delivered), of("fanout-100", "nats", cpu))
	line("deliveries, one message to 1,000 subscribers, stored, synced and acked", "%s/s, at %s CPU seconds a million",
		of("fanout-1000", "fastport", delivered), of("fanout-1000", "fastport", cpu))
	line("a million stored messages for a subscriber that was away", "the first %s ms after it is back, then %s/s", of("backlog", "fastport", first), of("backlog", "fastport", delivered))
	line("files through the broker", "%s MB/s", of("stream", "fastport", speed))
	line("memory", "a fresh node %s MB; an idle connection %s KB, durable %s KB", of("idle", "fastport", fresh), of("idle", "fastport", perConn), of("idle-durable", "fastport", perConn))
	return b.String() + "\n"
}

// writeReadme puts the figures into a README that has a place for them.
func writeReadme(path string, list []record) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), figuresFrom)
	_, after, closed := strings.Cut(rest, figuresTo)
	if !ok || !closed {
		return fmt.Errorf("%s has no place for figures", path)
	}
	return os.WriteFile(path, []byte(before+figuresFrom+figures(list)+figuresTo+after), 0o644)
}
