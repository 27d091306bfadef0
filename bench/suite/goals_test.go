package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestGoals_AreOfScenariosThatMeasureThem(t *testing.T) {
	doc, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	headings := map[string]bool{}
	for line := range strings.Lines(string(doc)) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			headings[strings.NewReplacer(" ", "-", "'", "", ",", "").Replace(strings.ToLower(strings.TrimSpace(title)))] = true
		}
	}
	for _, g := range goals() {
		i := slices.IndexFunc(scenarios(), func(c scenario) bool { return c.name == g.scenario })
		if i < 0 {
			t.Errorf("%s: there is no scenario %s", g.what, g.scenario)
			continue
		}
		c := scenarios()[i]
		if !slices.Contains(c.show, g.of) || !slices.ContainsFunc(c.entries, func(e entry) bool { return e.server == g.server }) {
			t.Errorf("%s: %s does not measure %s of %s", g.what, c.name, g.of.title, g.server)
		}
		if g.why != "" && !headings[g.why] {
			t.Errorf("%s: docs/benchmarks.md has no section %s", g.what, g.why)
		}
	}
	for _, c := range claims() {
		i := slices.IndexFunc(scenarios(), func(o scenario) bool { return o.name == c.scenario })
		for _, m := range c.of {
			if i < 0 || !slices.Contains(scenarios()[i].show, m) {
				t.Errorf("%s: %s does not show %s", c.what, c.scenario, m.title)
			}
		}
	}
}

func TestGoals_StandBesideLimitAndBestPeerOfTheSameRun(t *testing.T) {
	one := func(scenario, server, run string, m metric, v float64) record {
		return record{Scenario: scenario, Server: server, Run: run, Figures: map[string]any{m.key: v}}
	}
	var b strings.Builder
	writeGoals(&b, []record{
		one("fanout-100", "fastport", "2", cpu, 0.3), one("fanout-100", "relay", "2", cpu, 0.1),
		one("fanout-100", "nats", "1", cpu, 0.2), one("fanout-100", "centrifuge", "2", cpu, 0.9), one("fanout-100", "mosquitto", "2", cpu, 0.8),
		one("pairs", "fastport", "2", acked, 90000), one("pairs", "nats", "2", acked, 0), one("pairs", "centrifuge", "2", acked, 70000), one("pairs", "jetstream", "2", acked, 50000),
		one("stream", "fastport", "2", speed, 1050), one("stream", "nats", "1", speed, 700), one("stream", "relay", "1", speed, 1500),
	})
	for _, want := range []string{
		"| 0.2 | 0.3 | [1.5 times](benchmarks.md#a-deliverys-way) | 0.1 | 2.8, 3 | mosquitto 0.8 | 1 |",
		"| 80,000 | 90,000 | reached |  |  | centrifuge 70,000; acked both ways: jetstream 50,000 | 1 |",
		"| 1,100 | 1,050 | [1.05 times](benchmarks.md#a-chunks-way) | 1,500 (another run) |  | nats 700 (another run) |", "| 1.5 | not measured |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
}

func TestClaims_AreShownByWhatWasMeasured(t *testing.T) {
	var b strings.Builder
	writeClaims(&b, []record{{Scenario: "latency", Server: "fastport", Figures: map[string]any{p50.key: 120.0, p99.key: 1300.0}}, {Scenario: "pairs", Server: "nats", Figures: map[string]any{acked.key: 5.0}}})
	for _, want := range []string{"| under 5 ms | 0.12 p50, ms; 1.3 p99, ms |", "| 10,000 messages/s | not measured |"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
}
