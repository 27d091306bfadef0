package main

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// report makes the tables and the pictures of all that is in the file of results, and with those in docs the README's figures.
func (s *suite) report() error {
	list, err := readRecords(s.out + ".jsonl")
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("%s.jsonl has no results", s.out)
	}
	name := filepath.Base(s.out)
	findings := findings(list)
	for _, f := range findings {
		fmt.Println("finding:", f)
	}
	if err := os.WriteFile(s.out+".svg", []byte(picture(list)), 0o644); err != nil {
		return err
	}
	curved := drawCurves(list)
	if curved != "" {
		if err := os.WriteFile(s.out+"-curves.svg", []byte(curved), 0o644); err != nil {
			return err
		}
	}
	if err := os.WriteFile(s.out+".md", []byte(tables(list, name, findings, curved != "")), 0o644); err != nil {
		return err
	}
	// Results of its own that somebody keeps elsewhere are not the README's.
	if own, err := filepath.Abs(s.out); err != nil || own != filepath.Join(s.root, "docs/benchmarks-peers") {
		return err
	}
	return writeReadme(filepath.Join(s.root, "README.md"), list)
}

func tables(list []record, name string, findings []string, curved bool) string {
	var b strings.Builder
	last := list[len(list)-1]
	fmt.Fprintf(&b, "# fastPort and its peers\n\n<!-- Made by `make bench`; do not edit. -->\n\n")
	fmt.Fprintf(&b, "%s, %s, %s; server, stores, generator and all else share it, over loopback without TLS. ", last.Machine, last.Kernel, last.Go)
	fmt.Fprintf(&b, "Payloads of 128 bytes. Medians; servers were measured in turns, a fresh one for each repetition. **What each is asked to do, and where that is not the same, is in [bench/README.md](../bench/README.md).** ")
	fmt.Fprintf(&b, "Repetitions that failed are in no median. The last column counts the repetitions in which other processes used more than a tenth of a core: their rates and latencies are a floor, their CPU figures less touched. Every repetition with its command: [%s.jsonl](%[1]s.jsonl).\n\n", name)
	fmt.Fprintf(&b, "![Throughput, CPU, latency and memory of each](%s.svg)\n", name)
	writeGoals(&b, list)
	writeClaims(&b, list)
	for _, c := range scenarios() {
		table(&b, list, c)
	}
	if !curved {
		return b.String()
	}
	fmt.Fprintf(&b, "\n## As it grows\n\n![What a unit costs as it grows](%s-curves.svg)\n\n| what grows | | server | cost of a unit | besides | repetitions | others > 10 %% |\n|---|---|---|---|---|---|---|\n", name)
	var notes []string
	commits := map[string]bool{}
	for _, c := range curves() {
		for _, e := range c.entries {
			reps, count, wrong := repetitions(list, c, e)
			if count == "" {
				continue
			}
			for _, r := range reps {
				commits[r.Commit] = true
			}
			cost := "failed"
			if v, ok := c.show[0].value(reps); ok {
				cost = number(v) + " " + c.show[0].title
			} else if len(reps) > 0 {
				cost = "not measured"
			}
			var besides []string
			for _, m := range c.show[1:] {
				if v, ok := m.value(reps); ok {
					besides = append(besides, number(v)+" "+m.title)
				}
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", c.title, number(c.x), e.server, cost, strings.Join(besides, ", "), count, others(reps))
			for _, w := range wrong {
				notes = append(notes, c.name+": "+w)
			}
		}
	}
	b.WriteString("\n")
	writeNotes(&b, notes)
	fmt.Fprintf(&b, "Commit %s: `make bench SCENARIOS=curves`\n\n", join(commits))
	if len(findings) == 0 {
		b.WriteString("Nothing that was measured grows faster than linearly.\n")
	}
	for _, f := range findings {
		fmt.Fprintf(&b, "- %s.\n", f)
	}
	return b.String()
}

// repetitions are those of a server that were measured, how many of how many, and what went wrong in the others or in them.
// The count is "" where there was none.
func repetitions(list []record, c scenario, e entry) (reps []record, count string, wrong []string) {
	reps = measured(list, c.name, e.server)
	failed, why, faulty, how := 0, "", 0, ""
	all := 0
	for _, r := range list {
		if r.Scenario != c.name || r.Server != e.server {
			continue
		}
		all++
		if r.Failed != "" {
			failed, why = failed+1, r.Failed
		} else if w := r.wrong(); w != "" {
			faulty, how = faulty+1, w
		}
	}
	if failed > 0 {
		wrong = append(wrong, fmt.Sprintf("%s failed in %d of %d: `%s`", e.server, failed, all, strings.NewReplacer("`", "'", "|", "/").Replace(short(why))))
	}
	if faulty > 0 {
		wrong = append(wrong, fmt.Sprintf("%s in %d of %d, the last: %s", e.server, faulty, all, how))
	}
	switch {
	case all == 0:
		return nil, "", nil
	case failed > 0:
		return reps, fmt.Sprintf("**%d of %d**", len(reps), all), wrong
	}
	return reps, fmt.Sprint(all), wrong
}

func others(reps []record) string {
	if len(reps) == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d", disturbed(reps), len(reps))
}

// writeNotes lists what went wrong: messages lost, doubled, out of order or refused, connections closed, repetitions that failed.
func writeNotes(b *strings.Builder, notes []string) {
	for _, n := range notes {
		fmt.Fprintf(b, "- Not well: %s\n", n)
	}
	if len(notes) > 0 {
		b.WriteString("\n")
	}
}

func table(b *strings.Builder, list []record, c scenario) {
	var lines, notes []string
	commits := map[string]bool{}
	for _, e := range c.entries {
		reps, count, wrong := repetitions(list, c, e)
		if count == "" {
			continue
		}
		notes = append(notes, wrong...)
		for _, r := range reps {
			commits[r.Commit] = true
		}
		line := "| " + e.server + " |"
		if ours(e.server) {
			line = "| **" + e.server + "** |"
		}
		for _, m := range c.show {
			text := ""
			if v, ok := m.value(reps); ok {
				text = number(v)
			}
			line += " " + text + " |"
		}
		lines = append(lines, fmt.Sprintf("%s %s | %s |", line, count, others(reps)))
	}
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n| server |", c.title)
	for _, m := range c.show {
		fmt.Fprintf(b, " %s |", m.title)
	}
	fmt.Fprintf(b, " repetitions | others > 10 %% |\n|---|%s---|---|\n%s\n\n", strings.Repeat("---|", len(c.show)), strings.Join(lines, "\n"))
	writeNotes(b, notes)
	fmt.Fprintf(b, "Commit %s: `make bench SCENARIOS=%s`\n", join(commits), c.name)
}

func join(set map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(set)), ", ") }

// ours reports whether a server is fastport.
func ours(server string) bool { return strings.HasPrefix(server, "fastport") }

// number is a figure for people: three digits that count, thousands apart.
func number(v float64) string {
	if v == 0 {
		return "0"
	}
	if a := math.Abs(v); a < 100 {
		digits := 2 - int(math.Floor(math.Log10(a)))
		text := fmt.Sprintf("%.*f", min(max(digits, 0), 4), v)
		if strings.Contains(text, ".") {
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
		return text
	}
	scale := math.Pow(10, math.Max(0, math.Floor(math.Log10(math.Abs(v)))-2))
	text := fmt.Sprintf("%.0f", math.Round(v/scale)*scale)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// steeper is by how much the whole cost's exponent may pass 1 before it is told: the noise of a busy machine is below.
const steeper = 0.15

// findings are the curves whose whole cost grows faster than what grows, from one point to the next, and whether it does so no more
// than that of what is beside it.
func findings(list []record) (found []string) {
	var prev scenario
	for _, c := range curves() {
		v, ok := c.cost(list, 0)
		if !ok {
			continue
		}
		if prev.curve == c.curve {
			was, _ := prev.cost(list, 0)
			if e := exponent(prev.x, was, c.x, v); e > 1+steeper {
				of := "Worse than linear"
				text := fmt.Sprintf("%s: from %s to %s, %s go from %s to %s (the whole as n^%.2f)",
					c.title, number(prev.x), number(c.x), c.show[0].title, number(was), number(v), e)
				for i := 1; i < len(c.entries); i++ {
					from, ok := prev.cost(list, i)
					if to, too := c.cost(list, i); ok && too {
						beside := exponent(prev.x, from, c.x, to)
						text += fmt.Sprintf("; %s's from %s to %s (n^%.2f)", c.entries[i].server, number(from), number(to), beside)
						if e <= beside+steeper {
							of = "Worse than linear, as the machine is"
						}
					}
				}
				found = append(found, "**"+of+":** "+text)
			}
		}
		prev = c
	}
	return found
}

// cost is what a unit costs one of a curve's servers at this point, false where it was not measured.
func (c scenario) cost(list []record, entry int) (float64, bool) {
	if entry >= len(c.entries) {
		return 0, false
	}
	v, ok := c.show[0].value(measured(list, c.name, c.entries[entry].server))
	return v, ok && v > 0
}

// exponent is that of the whole, x units of v each, between two points.
func exponent(x0, v0, x1, v1 float64) float64 { return math.Log(x1*v1/(x0*v0)) / math.Log(x1/x0) }
