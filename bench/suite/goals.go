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
	then     float64 // the limit's own when the aim was set; 0: there was none
}

// goals are all of them, in the order of what was set out.
func goals() []goal {
	const (
		delivery = "a-deliverys-way"
		message  = "one-messages-way"
		latency  = "the-latency-of-one-message"
		cluster  = "two-nodes"
		chunks   = "a-chunks-way"
		backlog  = "a-million-that-waited"
	)
	return []goal{
		{"fan-out 1 to 100, `qos` 0", "fanout-100", "fastport", cpu, 0.20, delivery, 0.071},
		{"fan-out 1 to 1,000, stored, synced, acked in batches", "fanout-1000", "fastport", cpu, 0.45, delivery, 0.076},
		{"100 pairs, synced SQLite, acked", "pairs", "fastport", cpu, 8, message, 0.75},
		{"the same", "pairs", "fastport", acked, 80000, message, 1130000},
		{"the same on Postgres and Redis, one node", "pairs", "fastport-1", cpu, 12, message, 0.75},
		{"the same, three nodes: their CPU alone", "pairs", "fastport-3", cpu, 16, message, 0.75},
		{"5,000 messages/s over 10 pairs, stored, synced, acked", "latency", "fastport", p50, 0.075, latency, 0.064},
		{"the same", "latency", "fastport", p99, 0.7, latency, 0.6},
		{"two nodes over Redis, 1 to 100, `qos` 0: CPU of both", "two-nodes-fanout", "fastport-2", cpu, 0.40, cluster, 0},
		{"the same, each with its share of the cores", "two-nodes-fanout", "fastport-2-share", cpu, 0.40, cluster, 0},
		{"two nodes over Redis, 100 messages/s to 100", "two-nodes-latency", "fastport-2", p50, 0.8, cluster, 0},
		{"the same", "two-nodes-latency", "fastport-2", p99, 1.5, cluster, 0},
		{"an idle connection, logged in, one subscription", "idle", "fastport", perConn, 1.5, "", 0.46},
		{"the same, durable", "idle-durable", "fastport", perConn, 2.5, "", 0},
		{"connect, log in, subscribe", "storm", "fastport", connCPU, 0.035, delivery, 0.018},
		{"64 KiB chunks through one node", "stream", "fastport", speed, 1100, chunks, 1400},
		{"the same", "stream", "fastport", growth, 12, chunks, 10},
		{"64 KiB chunks through two nodes", "two-nodes-stream", "fastport-2", speed, 600, chunks, 0},
		{"the same, of the node that grows most", "two-nodes-stream", "fastport-2", growth, 16, chunks, 0},
		{"a million stored messages: the first after the connect", "backlog", "fastport", first, 20, backlog, 0},
		{"then", "backlog", "fastport", delivered, 100000, backlog, 0},
	}
}

// writeGoals is the table of what is to be reached beside what was measured: by us, by the limit and by the best of the peers.
func writeGoals(b *strings.Builder, list []record) {
	fmt.Fprintf(b, "\n## What is reached, and what not\n\nMedians of the repetitions below, and how far the rest is from its aim: `2.0 times` as much CPU, time or memory as it should be, or half the rate. "+
		"The limit is a relay of frames built once. The aims were set when it was faster than in some later runs, and so was all else: what the aim was of the limit then, and what ours is of the limit of its own run, stands behind it. "+
		"The best peer is the best in the run that ours is of, whatever it promises: most keep and ack nothing.\n\n"+
		"| | figure | to reach | ours | | limit | of the limit: the aim, ours | best peer | repetitions | others > 10 %% |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, g := range goals() {
		reps, count, _ := repetitions(list, scenario{name: g.scenario}, entry{server: g.server})
		figure, verdict := "not measured", ""
		if v, ok := g.of.value(reps); ok {
			figure, verdict = number(v), g.verdict(v)
		} else if count != "" && len(reps) == 0 {
			figure = "failed"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", g.what, g.of.title, number(g.aim), figure, verdict,
			best(list, g, reps, isRelay, false), g.ofLimit(list, reps), peers(list, g, reps), count, others(reps))
	}
}

func isRelay(server string) bool { return server == "relay" }

// ofLimit is what the aim was of the limit of then, and what ours is of the limit in the same run.
func (g goal) ofLimit(list []record, reps []record) string {
	v, ok := g.of.value(reps)
	limit, name := bestOf(list, g, func(r record) bool { return isRelay(r.Server) && runsOf(reps)[r.Run] })
	if !ok || name == "" || g.then == 0 {
		return ""
	}
	return fmt.Sprintf("%.2g, %.2g", g.aim/g.then, v/limit)
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
	runs, note := runsOf(ours), ""
	v, name := bestOf(list, g, func(r record) bool { return meant(r.Server) && runs[r.Run] })
	if name == "" {
		v, name = bestOf(list, g, func(r record) bool { return meant(r.Server) })
		note = " (another run)"
	}
	switch {
	case name == "":
		return ""
	case named:
		return name + " " + number(v) + note
	}
	return number(v) + note
}

// runsOf are the runs that records are of.
func runsOf(list []record) map[string]bool {
	runs := map[string]bool{}
	for _, r := range list {
		runs[r.Run] = true
	}
	return runs
}

func bestOf(list []record, g goal, meant func(record) bool) (most float64, name string) {
	of := map[string][]record{}
	for _, r := range list {
		if r.Scenario == g.scenario && r.Failed == "" && meant(r) {
			of[r.Server] = append(of[r.Server], r)
		}
	}
	for _, server := range slices.Sorted(maps.Keys(of)) {
		if v, ok := g.of.value(of[server]); ok && v != 0 && (name == "" || (v > most) == g.of.more) {
			most, name = v, server
		}
	}
	return most, name
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
