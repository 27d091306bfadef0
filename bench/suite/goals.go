package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// goal is a figure that fastport is to reach.
type goal struct {
	what     string
	scenario string
	server   string
	of       metric
	aim      float64 // in the metric's unit as it is shown
	why      string  // where docs/benchmarks.md tells what it would take
}

// goals are all of them, in the order of what was set out.
func goals() []goal {
	const (
		delivery = "a-deliverys-way"
		message  = "one-messages-way"
		cluster  = "two-nodes"
	)
	return []goal{
		{"fan-out 1 to 100, `qos` 0", "fanout-100", "fastport", cpu, 0.20, delivery},
		{"fan-out 1 to 1,000, stored, synced, acked in batches", "fanout-1000", "fastport", cpu, 0.45, delivery},
		{"100 pairs, synced SQLite, acked", "pairs", "fastport", cpu, 8, message},
		{"the same", "pairs", "fastport", acked, 80000, message},
		{"the same on Postgres and Redis, one node", "pairs", "fastport-1", cpu, 12, message},
		{"the same, three nodes: their CPU alone", "pairs", "fastport-3", cpu, 16, message},
		{"5,000 messages/s over 10 pairs, stored, synced, acked", "latency", "fastport", p50, 0.075, message},
		{"the same", "latency", "fastport", p99, 0.7, message},
		{"two nodes over Redis, 1 to 100, `qos` 0: CPU of both", "two-nodes-fanout", "fastport-2", cpu, 0.40, cluster},
		{"the same, each with its share of the cores", "two-nodes-fanout", "fastport-2-share", cpu, 0.40, cluster},
		{"two nodes over Redis, 100 messages/s to 100", "two-nodes-latency", "fastport-2", p50, 0.8, cluster},
		{"the same", "two-nodes-latency", "fastport-2", p99, 1.5, cluster},
		{"an idle connection, logged in, one subscription", "idle", "fastport", perConn, 1.5, ""},
		{"the same, durable", "idle-durable", "fastport", perConn, 2.5, ""},
		{"connect, log in, subscribe", "storm", "fastport", connCPU, 0.035, delivery},
		{"64 KiB chunks through one node", "stream", "fastport", speed, 1100, ""},
		{"the same", "stream", "fastport", growth, 12, ""},
		{"64 KiB chunks through two nodes", "two-nodes-stream", "fastport-2", speed, 600, ""},
		{"the same, of the node that grows most", "two-nodes-stream", "fastport-2", growth, 16, ""},
		{"a million stored messages: the first after the connect", "backlog", "fastport", first, 20, ""},
		{"then", "backlog", "fastport", delivered, 100000, ""},
	}
}

// writeGoals is the table of what is to be reached beside what was measured: by us, by the limit and by the best of the peers.
func writeGoals(b *strings.Builder, list []record) {
	fmt.Fprintf(b, "\n## What is reached, and what not\n\nMedians of the repetitions below, and how far the rest is from its aim: `2.0 times` as much CPU, time or memory as it should be, or half the rate. "+
		"The limit is a relay of frames built once. The best peer is the best in the run that ours is of, whatever it promises: most keep and ack nothing.\n\n"+
		"| | figure | to reach | ours | | limit | best peer | repetitions | others > 10 %% |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, g := range goals() {
		reps, count, _ := repetitions(list, scenario{name: g.scenario}, entry{server: g.server})
		figure, verdict := "not measured", ""
		if v, ok := g.of.value(reps); ok {
			figure, verdict = number(v), g.verdict(v)
		} else if count != "" && len(reps) == 0 {
			figure = "failed"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", g.what, g.of.title, number(g.aim), figure, verdict,
			best(list, g, reps, func(server string) bool { return server == "relay" }, false),
			peers(list, g, reps), count, others(reps))
	}
}

// verdict says whether a figure is reached, and where not by how much it is missed.
func (g goal) verdict(v float64) string {
	far := v / g.aim
	if g.of.more {
		far = g.aim / v
	}
	if far <= 1 {
		return "reached"
	}
	text := fmt.Sprintf("%.1f times", far)
	if far < 1.1 {
		text = fmt.Sprintf("%.2f times", far)
	}
	if g.why != "" {
		text = fmt.Sprintf("[%s](benchmarks.md#%s)", text, g.why)
	}
	return text
}

// acking are the peers whose publishes and deliveries are both acked, as those of our `qos` 1.
var acking = []string{"mosquitto-qos1", "jetstream", "jetstream-fsync"}

// peers is the best of all, and where that acks less, of those that ack both ways.
func peers(list []record, g goal, reps []record) string {
	any := best(list, g, reps, func(server string) bool { return server != "relay" && !ours(server) }, true)
	acks := best(list, g, reps, func(server string) bool { return slices.Contains(acking, server) }, true)
	if acks == "" || acks == any {
		return any
	}
	return any + "; acked both ways: " + acks
}

// best is the best figure of those servers in a goal's scenario that are meant: of those that were measured in the same run as ours, or
// if there is none, of any other, which it says.
func best(list []record, g goal, ours []record, meant func(server string) bool, named bool) string {
	runs := map[string]bool{}
	for _, r := range ours {
		runs[r.Run] = true
	}
	if text := bestOf(list, g, func(r record) bool { return meant(r.Server) && runs[r.Run] }, named); text != "" {
		return text
	}
	if text := bestOf(list, g, func(r record) bool { return meant(r.Server) }, named); text != "" {
		return text + " (another run)"
	}
	return ""
}

func bestOf(list []record, g goal, meant func(record) bool, named bool) string {
	of := map[string][]record{}
	for _, r := range list {
		if r.Scenario == g.scenario && r.Failed == "" && meant(r) {
			of[r.Server] = append(of[r.Server], r)
		}
	}
	most, name := 0.0, ""
	for _, server := range slices.Sorted(maps.Keys(of)) {
		if v, ok := g.of.value(of[server]); ok && v != 0 && (name == "" || (v > most) == g.of.more) {
			most, name = v, server
		}
	}
	switch {
	case name == "":
		return ""
	case named:
		return name + " " + number(most)
	}
	return number(most)
}

// claim is what the first documents promised, beside what shows it.
type claim struct {
	what     string
	scenario string
	of       []metric
}

func claims() []claim {
	return []claim{
		{"10,000 messages/s", "pairs", []metric{acked}},
		{"under 5 ms", "latency", []metric{p50, p99}},
		{"files at 100 MB/s", "stream", []metric{speed}},
		{"10,000 connections, 1 KB each", "idle", []metric{perConn}},
		{"50 MB base", "idle", []metric{fresh}},
	}
}

func writeClaims(b *strings.Builder, list []record) {
	fmt.Fprintf(b, "\n## The first documents' claims\n\nOne node on SQLite; messages are stored and synced before they are acked.\n\n| claim | measured | in |\n|---|---|---|\n")
	for _, c := range claims() {
		var parts []string
		reps := measured(list, c.scenario, "fastport")
		for _, m := range c.of {
			if v, ok := m.value(reps); ok {
				parts = append(parts, number(v)+" "+m.title)
			}
		}
		text := strings.Join(parts, "; ")
		if text == "" {
			text = "not measured"
		}
		fmt.Fprintf(b, "| %s | %s | `make bench SCENARIOS=%s` |\n", c.what, text, c.scenario)
	}
}
