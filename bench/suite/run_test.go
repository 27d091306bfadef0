package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// chosen is a suite of some scenarios that writes into a folder of the test's.
func chosen(t *testing.T, reps int, names ...string) *suite {
	t.Helper()
	list, err := choose(names, []string{"relay", "nats", "fastport"})
	if err != nil {
		t.Fatal(err)
	}
	return &suite{out: filepath.Join(t.TempDir(), "r"), reps: reps, dur: time.Second, bytes: 1 << 20, chosen: list, told: &bytes.Buffer{}, about: record{Run: "now"}}
}

// result is a measurement that takes no time.
func (s *suite) result(t turn) record {
	r := s.about
	r.Scenario, r.Server, r.Rep, r.Command = t.c.name, t.e.server, t.rep, "generator "+t.length
	r.Figures = map[string]any{cpu.key: 1.0}
	return r
}

func TestRepeat_GoesOnAfterAFailureAndTellsWhereItIs(t *testing.T) {
	s := chosen(t, 2, "fanout-100", "storm")
	var order []string
	err := s.repeat(t.Context(), func(_ context.Context, at turn) record {
		order = append(order, fmt.Sprint(at.rep, at.c.name, at.e.server))
		r := s.result(at)
		if at.e.server == "nats" {
			r.Failed, r.Figures = "it did", nil
		}
		return r
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(order) != 2*2*3 || order[0] != "1fanout-100relay" || order[1] != "1fanout-100nats" || order[3] != "1stormrelay" || order[6] != "2fanout-100relay" {
		t.Errorf("the order was %q: want all of it once, the servers in turns, then again", order)
	}
	list, err := readRecords(s.out + ".jsonl")
	if err != nil || len(list) != len(order) {
		t.Errorf("%d results, %v, want %d", len(list), err, len(order))
	}
	told := s.told.(*bytes.Buffer).String()
	for _, want := range []string{"repetition 1 of 2, scenario 2 of 2 (storm), about ", "FAILED: it did"} {
		if !strings.Contains(told, want) {
			t.Errorf("it told %q, want %q in it", told, want)
		}
	}
}

func TestRepeat_InterruptedItKeepsOlderResultsOfWhatItDidNotReach(t *testing.T) {
	s := chosen(t, 1, "fanout-100", "storm")
	old := []record{
		{Scenario: "fanout-100", Server: "relay", Run: "before"}, {Scenario: "storm", Server: "relay", Run: "before"}, {Scenario: "fanout-100", Server: "mosquitto", Run: "before"},
		{Scenario: "a scenario that was", Server: "relay", Run: "before"},
	}
	if err := writeRecords(s.out+".jsonl", old); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	if err := s.repeat(ctx, func(_ context.Context, at turn) record {
		if at.e.server == "fastport" {
			interrupt()
		}
		return s.result(at)
	}); err != nil {
		t.Fatal(err)
	}
	list, err := readRecords(s.out + ".jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range list {
		got = append(got, r.Run+" "+r.Scenario+" "+r.Server)
	}
	slices.Sort(got)
	if want := []string{"before fanout-100 mosquitto", "before storm relay", "now fanout-100 nats", "now fanout-100 relay"}; !slices.Equal(got, want) {
		t.Errorf("the results are %q, want %q", got, want)
	}
}

func TestPlan_RepeatsLongScenariosWhereAllIsAskedFor(t *testing.T) {
	s := chosen(t, 3, "backlog", "storm")
	count := func() (n int) {
		for _, at := range s.plan() {
			if at.c.name == "backlog" {
				n++
			}
		}
		return n
	}
	if got := count(); got != 1 {
		t.Errorf("%d repetitions of the long scenario, want 1", got)
	}
	if s.full = true; count() != 3 {
		t.Errorf("%d repetitions of it with all, want 3", count())
	}
}

func TestForecast_LearnsFromWhatIsOver(t *testing.T) {
	a, b := scenario{name: "a"}, scenario{name: "b"}
	e := entry{server: "x"}
	turns := []turn{{a, e, 1, time.Second, "-dur 1s"}, {b, e, 1, time.Second, "-dur 1s"}, {a, e, 2, time.Second, "-dur 1s"}, {b, e, 2, time.Second, "-dur 1s"}}
	f := newForecast(turns, nil)
	if got := f.left(); got != 4*time.Second {
		t.Errorf("by guesses alone %v are left, want 4s", got)
	}
	f.took(3) // a's second takes as long, and all that is guessed three times as long
	if got := f.left(); got != 9*time.Second {
		t.Errorf("%v are left, want 9s", got)
	}
	f = newForecast(turns, []record{
		{Scenario: "b", Server: "x", Took: 7, Command: "generator -dur 1s"}, {Scenario: "a", Server: "x", Took: 9, Command: "generator -dur 5s"},
		{Scenario: "b", Server: "x", Took: 1, Command: "generator -dur 1s", Failed: "it did"},
	})
	if got := f.left(); got != 16*time.Second {
		t.Errorf("with a run before %v are left, want 16s: b took 7 s, and a was longer", got)
	}
	for d, want := range map[time.Duration]string{89 * time.Second: "89 s", 9 * time.Minute: "9 min", 2 * time.Hour: "2.0 hours"} {
		if got := roughly(d); got != want {
			t.Errorf("roughly(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestLab_WhatCannotBeBuiltFailsAloneAndSaysWhy(t *testing.T) {
	l, err := newLab("../..")
	if err != nil {
		t.Fatal(err)
	}
	defer l.keeper.Release()
	if err := l.build(t.Context(), []target{{"bench", "relay", "./servers/nothing"}}); err != nil {
		t.Fatalf("one program that cannot be built ends all: %v", err)
	}
	s := chosen(t, 1, "fanout-100")
	s.lab = l
	r := s.measure(t.Context(), s.plan()[0])
	if r.Server != "relay" || !strings.Contains(r.Failed, "build relay") || !strings.Contains(r.Failed, "servers/nothing") {
		t.Errorf("%+v: want what could not be built", r)
	}
	if err := l.build(t.Context(), []target{{"bench", "generator", "./nothing"}}); err == nil {
		t.Error("it goes on without a generator")
	}
}

func TestMerge_AddsWhatIsCountedAndAveragesWhatAUnitCosts(t *testing.T) {
	one := func(perConn float64) map[string]any {
		return map[string]any{"rss_bytes_per_further_conn": perConn, "srv_rss_kb": 100.0, "srv_cpu_s": 1.0, "cli_cpu_s": 2.0, "other_cpu_s": 6.5, "closed": 1.0, "note": "n"}
	}
	got := merge([]map[string]any{one(1000), one(1200), one(1100)})
	// The two others and their nodes used 6 of the 6.5 s that each of the three saw.
	for key, want := range map[string]float64{"rss_bytes_per_further_conn": 1100, "srv_rss_kb": 300, "closed": 3, "other_cpu_s": 0.5, "generators": 3} {
		if v, _ := lookup(got, key); v != want {
			t.Errorf("%s = %v, want %v", key, v, want)
		}
	}
}

func TestCurves_KeepOneThingTheSameAndSayWhich(t *testing.T) {
	for _, c := range curves() {
		var window, subs float64
		for i, f := range c.flags {
			switch f {
			case "-window":
				fmt.Sscan(c.flags[i+1], &window)
			case "-subs":
				fmt.Sscan(c.flags[i+1], &subs)
			}
		}
		switch {
		case c.curve == "subscribers-alike" && (window != 16 || !strings.Contains(c.title, "16 messages in flight")):
			t.Errorf("%s has %v messages in flight: %s", c.name, window, c.title)
		case c.curve == "subscribers-outstanding" && (window*subs != 10000 || !strings.Contains(c.title, "10,000 deliveries outstanding")):
			t.Errorf("%s has %v deliveries outstanding: %s", c.name, window*subs, c.title)
		}
	}
}

func TestShort_KeepsTheReasonAtTheEndInOneLine(t *testing.T) {
	got := short(strings.Repeat("started\n", 100) + "panic: no\tmemory\n")
	if len(got) > reported+8 || !strings.HasSuffix(got, "panic: no memory") || strings.Contains(got, "\n") {
		t.Errorf("short makes %q", got)
	}
}

func TestSuite_MeasuresARealServerAndWritesItsTable(t *testing.T) {
	s := chosen(t, 1, "fanout-100")
	s.chosen[0].entries = s.chosen[0].entries[:1]
	s.dur, s.root = 200*time.Millisecond, t.TempDir()
	var err error
	if s.lab, err = newLab("../.."); err != nil {
		t.Fatal(err)
	}
	defer s.lab.keeper.Release()
	var own []target
	for _, p := range programs() {
		if p.out == "generator" || p.out == "relay" {
			own = append(own, p)
		}
	}
	if err := s.lab.build(t.Context(), own); err != nil {
		t.Fatal(err)
	}
	if err := s.repeat(t.Context(), s.measure); err != nil {
		t.Fatal(err)
	}
	list, err := readRecords(s.out + ".jsonl")
	if err != nil || len(list) != 1 || list[0].Failed != "" || list[0].Took <= 0 {
		t.Fatalf("%+v, %v: want one result", list, err)
	}
	if n, _ := lookup(list[0].Figures, "deliv_per_s"); n <= 0 || list[0].wrong() != "" {
		t.Errorf("%+v: want deliveries, and nothing wrong", list[0].Figures)
	}
	if err := s.report(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(s.out + ".md"); err != nil || !strings.Contains(string(text), "\n| relay | ") {
		t.Errorf("%v, the tables are\n%s", err, text)
	}
}

func TestCommit_IsNotDirtyForWhatARunWrites(t *testing.T) {
	s := &suite{root: t.TempDir()}
	write := func(name, text string) {
		path := filepath.Join(s.root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) {
		t.Helper()
		if said, err := exec.Command("git", append([]string{"-C", s.root, "-c", "user.name=t", "-c", "user.email=t@example.com"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, said)
		}
	}
	for _, name := range []string{"docs/x.md", "README.md", "main.go"} {
		write(name, "1")
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "first")
	write("docs/x.md", "2")
	write("README.md", "2")
	if got := s.commit(); got == "" || strings.Contains(got, "dirty") {
		t.Errorf("with its own results changed the commit is %q", got)
	}
	write("main.go", "2")
	if got := s.commit(); !strings.HasSuffix(got, "-dirty") {
		t.Errorf("with code changed the commit is %q", got)
	}
}
