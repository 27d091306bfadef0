package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// suite is one run of it.
type suite struct {
	root, out string
	reps      int
	dur       time.Duration
	bytes     int64
	full      bool
	chosen    []scenario
	told      io.Writer // for who watches

	lab   *lab
	about record // what is the same in every line
}

func (s *suite) run(ctx context.Context) (err error) {
	// Before the build: whoever works on the tree goes on meanwhile.
	s.about = record{Machine: machine(), Kernel: firstOf("uname", "-sr"), Go: runtime.Version(), Commit: s.commit(),
		Run: time.Now().UTC().Format(time.RFC3339)}
	if s.lab, err = newLab(s.root); err != nil {
		return err
	}
	defer s.lab.keeper.Release()
	if err := s.lab.build(ctx, programs()); err != nil {
		return err
	}
	if err := s.repeat(ctx, s.measure); err != nil {
		return err
	}
	return s.report()
}

// repeat measures what was chosen, all of it once before any of it again, and keeps each result as soon as it is there: whoever
// interrupts has the figures until then, and the older ones of what was not reached.
func (s *suite) repeat(ctx context.Context, measure func(context.Context, turn) record) error {
	list, err := readRecords(s.out + ".jsonl")
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(list, func(r record) bool { return !known(r) })
	plan := s.plan()
	began := time.Now()
	ahead := newForecast(plan, list)
	for i, t := range plan {
		if i == 0 || plan[i-1].c.name != t.c.name || plan[i-1].rep != t.rep {
			fmt.Fprintf(s.told, "repetition %d of %d, scenario %d of %d (%s), about %s left\n", t.rep, s.reps, s.place(t.c), len(s.chosen), t.c.name, roughly(ahead.left()))
		}
		at := time.Now()
		r := measure(ctx, t)
		if ctx.Err() != nil {
			return nil
		}
		r.Took = time.Since(at).Seconds()
		ahead.took(r.Took)
		list = slices.DeleteFunc(list, func(old record) bool { return old.Scenario == r.Scenario && old.Server == r.Server && old.Run != r.Run })
		list = append(list, r)
		fmt.Fprintf(s.told, "%6.0f s  %-18s %s\n", time.Since(began).Seconds(), t.e.server, oneLine(t.c, r))
		if err := writeRecords(s.out+".jsonl", list); err != nil {
			return err
		}
	}
	return nil
}

// turn is one repetition of one server in one scenario.
type turn struct {
	c      scenario
	e      entry
	rep    int
	expect time.Duration // a first guess at how long it takes
	length string        // is in the command of each that measures as long
}

// plan is all turns in their order.
func (s *suite) plan() (list []turn) {
	for rep := 1; rep <= s.reps; rep++ {
		for _, c := range s.chosen {
			if c.once && rep > 1 && !s.full {
				continue
			}
			for _, e := range c.entries {
				list = append(list, turn{c, e, rep, s.guess(c, e), strings.Join(s.length(), " ")})
			}
		}
	}
	return list
}

// place counts from 1.
func (s *suite) place(c scenario) int {
	return 1 + slices.IndexFunc(s.chosen, func(o scenario) bool { return o.name == c.name })
}

// known reports whether there is still such a scenario, and such a server in it.
func known(r record) bool {
	return slices.ContainsFunc(append(scenarios(), curves()...), func(c scenario) bool {
		return c.name == r.Scenario && slices.ContainsFunc(c.entries, func(e entry) bool { return e.server == r.Server })
	})
}

// oneLine is a repetition for who watches.
func oneLine(c scenario, r record) string {
	if r.Failed != "" {
		return "FAILED: " + r.Failed
	}
	var parts []string
	for _, m := range c.show {
		if v, ok := m.value([]record{r}); ok {
			parts = append(parts, number(v)+" "+m.title)
		}
	}
	if wrong := r.wrong(); wrong != "" {
		parts = append(parts, wrong)
	}
	if r.Disturbed {
		parts = append(parts, fmt.Sprintf("(others used %.1f cores)", r.OthersCPU))
	}
	return strings.Join(parts, ", ")
}

// commit is the tree's, "-dirty" where anything is changed but what runs before this one wrote.
func (s *suite) commit() string {
	name := firstOf("git", "-C", s.root, "rev-parse", "--short", "HEAD")
	if firstOf("git", "-C", s.root, "status", "--porcelain", "--", ".", ":!docs", ":!README.md") != "" {
		name += "-dirty"
	}
	return name
}

func firstOf(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// machine tells the cores, their kind and the memory.
func machine() string {
	field := func(file, name string) string {
		text, _ := os.ReadFile(file)
		for line := range strings.Lines(string(text)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
				return strings.TrimSpace(v)
			}
		}
		return "unknown"
	}
	var kb float64
	fmt.Sscanf(field("/proc/meminfo", "MemTotal"), "%f", &kb)
	return fmt.Sprintf("%d cores (%s), %.0f GiB", runtime.NumCPU(), field("/proc/cpuinfo", "model name"), kb/(1<<20))
}
