package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"
)

func TestMedian_IsTheMiddleWhateverTheOrder(t *testing.T) {
	for _, c := range []struct {
		list []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}, {[]float64{1000, 1, 1, 2, 1000}, 2}} {
		if got := median(c.list); got != c.want {
			t.Errorf("median of %v = %v, want %v", c.list, got, c.want)
		}
	}
}

func TestNumber_HasThreeDigitsThatCount(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.0712: "0.0712", 0.41: "0.41", 6.4: "6.4", 64: "64", 151.4: "151", 3412: "3,410", 11_700_000: "11,700,000", 99.96: "100"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestExponent_OfAWholeThatGrowsWithItsNumberIsOne(t *testing.T) {
	if got := exponent(10, 5, 1000, 5); math.Abs(got-1) > 1e-9 {
		t.Errorf("equal cost of a unit: %v, want 1", got)
	}
	if got := exponent(10, 1, 100, 10); math.Abs(got-2) > 1e-9 {
		t.Errorf("cost of a unit that grows as n: %v, want 2", got)
	}
}

// every makes a result for each server of each scenario and curve; a unit costs what unit says.
func every(unit func(c scenario) float64) (list []record) {
	for _, c := range append(scenarios(), curves()...) {
		for i, e := range c.entries {
			figures := map[string]any{}
			for j, m := range c.show {
				figures[m.key] = unit(c) * float64(i+j+1)
			}
			list = append(list, record{Scenario: c.name, Server: e.server, Rep: 1, Disturbed: i == 0, Commit: "abc", Machine: "<&>", Figures: figures})
		}
	}
	return list
}

func TestFindings_TellWhatIsWorseThanLinear(t *testing.T) {
	if got := findings(every(func(scenario) float64 { return 7 })); len(got) != 0 {
		t.Errorf("a cost that does not grow: %q", got)
	}
	got := findings(every(func(c scenario) float64 {
		if c.curve == "stored" {
			return math.Sqrt(c.x)
		}
		return 7
	}))
	if len(got) != 3 || !strings.Contains(got[0], "stored backlog") || !strings.Contains(got[0], "n^1.50") {
		t.Errorf("a cost that grows as the root: %q", got)
	}
}

func TestFindings_TellWhatOfThatIsTheMachines(t *testing.T) {
	at := func(scenario, server string, v float64) record {
		return record{Scenario: scenario, Server: server, Figures: map[string]any{cpu.key: v}}
	}
	list := []record{
		at("subscribers-alike-10", "fastport", 1), at("subscribers-alike-100", "fastport", 10), at("subscribers-alike-1000", "fastport", 20),
		at("subscribers-alike-10", "relay", 1), at("subscribers-alike-100", "relay", 2), at("subscribers-alike-1000", "relay", 4),
	}
	got := findings(list)
	if len(got) != 2 || !strings.HasPrefix(got[0], "**Worse than linear:** ") || !strings.HasSuffix(got[0], "(the whole as n^2.00); relay's from 1 to 2 (n^1.30)") ||
		!strings.HasPrefix(got[1], "**Worse than linear, as the machine is:** ") || !strings.HasSuffix(got[1], "(the whole as n^1.30); relay's from 2 to 4 (n^1.30)") {
		t.Errorf("the findings are %q", got)
	}
}

func TestPictures_AreWellFormedAndNameEveryServer(t *testing.T) {
	list := every(func(scenario) float64 { return 3 })
	for name, svg := range map[string]string{"peers": picture(list), "curves": drawCurves(list)} {
		dec := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := dec.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
			t.Errorf("%s has places that are no numbers", name)
		}
	}
	for _, c := range scenarios() {
		for _, e := range c.entries {
			if !strings.Contains(picture(list), ">"+e.server+"<") {
				t.Errorf("the picture lacks %s", e.server)
			}
		}
	}
}

func TestTables_CountDisturbedRepetitions(t *testing.T) {
	text := tables(every(func(scenario) float64 { return 3 }), "x", nil, true)
	if !strings.Contains(text, "| 1 | 1 of 1 |") || !strings.Contains(text, "Nothing that was measured grows faster") || strings.Contains(text, "Not well") {
		t.Errorf("the tables hide something:\n%s", text)
	}
}

func TestTables_ShowWhatFailedAndWhatWentWrong(t *testing.T) {
	figures := map[string]any{cpu.key: 3.0, "lost": 7.0, "out_of_order": 1.0}
	list := []record{
		{Scenario: "fanout-100", Server: "nats", Figures: figures}, {Scenario: "fanout-100", Server: "nats", Figures: figures},
		{Scenario: "fanout-100", Server: "nats", Failed: "it | did"}, {Scenario: "fanout-100", Server: "fastport", Failed: "it never started"},
		{Scenario: "subscribers-alike-10", Server: "fastport", Figures: map[string]any{cpu.key: 2.0}}, {Scenario: "subscribers-alike-10", Server: "fastport", Failed: "late"},
		{Scenario: "subscribers-alike-100", Server: "fastport", Failed: "a point of a curve"},
	}
	text := tables(list, "x", nil, true)
	for _, want := range []string{
		"| nats |  | 3 |  |  |  | **2 of 3** | 0 of 2 |", "nats failed in 1 of 3: `it / did`", "nats in 2 of 3, the last: lost 7, out of order 1",
		"| **fastport** |  |  |  |  |  | **0 of 1** |  |", "| 0.2 | failed |", "| fastport | 2 CPU-s a million deliveries |  | **1 of 2** | 0 of 1 |", "| 100 | fastport | failed |  | **0 of 1** |  |",
		"subscribers-alike-100: fastport failed in 1 of 1: `a point of a curve`",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the tables lack %q:\n%s", want, text)
		}
	}
}

func TestScenarios_NameServersThatThereAre(t *testing.T) {
	for _, c := range append(scenarios(), curves()...) {
		for _, e := range c.entries {
			if _, err := serverNamed(e.server); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

func TestChoose_RefusesWhatThereIsNotAndLeavesCurvesOutUnlessNamed(t *testing.T) {
	if _, err := choose([]string{"fanuot"}, nil); err == nil {
		t.Error("a scenario that there is not was taken")
	}
	if list, err := choose(nil, nil); err != nil || len(list) != len(scenarios()) {
		t.Errorf("%d scenarios, %v, want the comparison's %d", len(list), err, len(scenarios()))
	}
	if list, err := choose([]string{"curves"}, nil); err != nil || len(list) != len(curves()) {
		t.Errorf("%d curves, %v, want %d", len(list), err, len(curves()))
	}
	if list, err := choose([]string{"fanout-100"}, []string{"nats"}); err != nil || len(list) != 1 || len(list[0].entries) != 1 {
		t.Errorf("one server of one scenario: %v, %v", list, err)
	}
}

func TestRecords_ComeBackAsTheyWereWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.jsonl")
	if list, err := readRecords(path); err != nil || list != nil {
		t.Fatalf("no file: %v, %v", list, err)
	}
	want := []record{{Run: "now", Took: 3, Scenario: "a", Server: "b", Rep: 1, OthersCPU: .5, Disturbed: true, Command: "c", Figures: map[string]any{"p50_us": 3.0}}, {Scenario: "d", Failed: "e"}}
	if err := writeRecords(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := readRecords(path)
	if err != nil || len(got) != 2 || got[0].Figures["p50_us"] != 3.0 || !got[0].Disturbed || got[1].Failed != "e" {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}
