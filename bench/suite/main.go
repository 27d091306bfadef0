// Command suite measures fastport and its peers on this machine: each scenario of the tables in scenarios.go against
// each of its servers, interleaved repetition by repetition, every repetition on a fresh server. It writes a line a
// repetition to the file of results, and from all of that file the tables and the picture.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fastport/fastport/internal/daemon"
)

func main() {
	s := &suite{}
	root := flag.String("root", "..", "the repository's `folder`")
	flag.StringVar(&s.out, "out", "../docs/benchmarks-peers", "results, tables and picture go to `NAME`.jsonl, .md and .svg")
	flag.IntVar(&s.reps, "reps", 5, "repetitions")
	flag.DurationVar(&s.dur, "duration", 5*time.Second, "measured time of a repetition")
	flag.Int64Var(&s.bytes, "bytes", 1<<30, "of a stream of chunks")
	only := flag.String("scenarios", "", "some `NAMES` of them, separated by spaces; \"curves\" is all curves; default: the comparison")
	who := flag.String("servers", "", "those `NAMES` alone, separated by spaces")
	render := flag.Bool("render", false, "only make the tables and the picture again")
	list := flag.Bool("list", false, "only list scenarios and servers")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := func() (err error) {
		if s.root, err = filepath.Abs(*root); err != nil {
			return err
		}
		s.chosen, err = choose(strings.Fields(*only), strings.Fields(*who))
		switch {
		case err != nil:
			return err
		case *list:
			for _, c := range append(scenarios(), curves()...) {
				fmt.Printf("%-20s", c.name)
				for _, e := range c.entries {
					fmt.Print(" ", e.server)
				}
				fmt.Println()
			}
			return nil
		case *render:
			return s.report()
		}
		return s.run(ctx)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "suite:", err)
		os.Exit(1)
	}
}

// choose picks scenarios by their names, and of their servers those named.
func choose(names, who []string) (list []scenario, err error) {
	known := append(scenarios(), curves()...)
	for _, n := range names {
		if n != "curves" && n != "peers" && !slices.ContainsFunc(known, func(s scenario) bool { return s.name == n || s.curve == n }) {
			return nil, fmt.Errorf("there is no scenario %q; -list tells which there are", n)
		}
	}
	for _, s := range known {
		named := slices.Contains(names, s.name) || s.curve != "" && (slices.Contains(names, s.curve) || slices.Contains(names, "curves"))
		if !named && (s.curve != "" || len(names) > 0 && !slices.Contains(names, "peers")) {
			continue
		}
		if len(who) > 0 {
			s.entries = slices.DeleteFunc(s.entries, func(e entry) bool { return !slices.Contains(who, e.server) })
		}
		if len(s.entries) > 0 {
			list = append(list, s)
		}
	}
	return list, nil
}

// suite is one run of it.
type suite struct {
	root, out string
	reps      int
	dur       time.Duration
	bytes     int64
	chosen    []scenario
	lab       *lab
	about     record // what is the same in every line
}

func (s *suite) run(ctx context.Context) (err error) {
	// Before the build: whoever works on the tree goes on meanwhile.
	s.about = record{Machine: machine(), Kernel: firstOf("uname", "-sr"), Go: runtime.Version(), Commit: firstOf("git", "-C", s.root, "describe", "--always", "--dirty")}
	if s.lab, err = newLab(s.root); err != nil {
		return err
	}
	defer s.lab.keeper.Release()
	if err := s.lab.build(); err != nil {
		return err
	}
	records, err := readRecords(s.out + ".jsonl")
	if err != nil {
		return err
	}
	records = slices.DeleteFunc(records, func(r record) bool { // they are measured anew
		return slices.ContainsFunc(s.chosen, func(c scenario) bool {
			return c.name == r.Scenario && slices.ContainsFunc(c.entries, func(e entry) bool { return e.server == r.Server })
		})
	})
	began := time.Now()
	for rep := 1; rep <= s.reps && ctx.Err() == nil; rep++ {
		for _, c := range s.chosen {
			if c.once && rep > 1 {
				continue
			}
			for _, e := range c.entries {
				if ctx.Err() != nil {
					break
				}
				r := s.measure(ctx, c, e, rep)
				if ctx.Err() != nil {
					break
				}
				records = append(records, r)
				fmt.Fprintf(os.Stderr, "%5.0fs  %d/%d  %-18s %-16s %s\n", time.Since(began).Seconds(), rep, s.reps, c.name, e.server, oneLine(c, r))
				if err := writeRecords(s.out+".jsonl", records); err != nil {
					return err
				}
			}
		}
	}
	return s.report()
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
	if r.Disturbed {
		parts = append(parts, fmt.Sprintf("(others used %.1f cores)", r.OthersCPU))
	}
	return strings.Join(parts, ", ")
}

// measure is one repetition on a fresh server. A failure is in the record: the others go on.
func (s *suite) measure(ctx context.Context, c scenario, e entry, rep int) record {
	r := s.about
	r.Scenario, r.Server, r.Rep, r.Time = c.name, e.server, rep, time.Now().UTC().Format(time.RFC3339)
	fail := func(err error) record { r.Failed = strings.TrimSpace(err.Error()); return r }
	srv, err := serverNamed(e.server)
	if err != nil {
		return fail(err)
	}
	nodes, err := srv.start(s.lab)
	if err != nil {
		return fail(err)
	}
	defer func() {
		for _, d := range nodes {
			d.Kill()
		}
	}()
	for _, d := range nodes {
		if err := d.Start(); err != nil {
			return fail(fmt.Errorf("%w: %s", err, d.Said()))
		}
	}
	if len(nodes) > 1 {
		time.Sleep(meet)
	}
	args := s.arguments(c, e, srv, nodes)
	r.Command = "generator " + strings.Join(args, " ")
	bounded, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(bounded, filepath.Join(s.lab.dir, "generator"), args...)
	var out, told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &told
	if err := cmd.Run(); err != nil {
		return fail(fmt.Errorf("%w: %s", err, told.String()))
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "{") {
			if err := json.Unmarshal([]byte(line), &r.Figures); err != nil {
				return fail(err)
			}
		}
	}
	other, _ := r.Figures["other_cpu_s"].(float64)
	if took, _ := r.Figures["dur_s"].(float64); took > 0 {
		r.OthersCPU = other / took
	}
	r.Disturbed = r.OthersCPU > tolerated
	return r
}

// arguments are the generator's.
func (s *suite) arguments(c scenario, e entry, srv server, nodes []*daemon.Daemon) []string {
	var pids, elsewhere []string
	for _, d := range nodes {
		pids = append(pids, fmt.Sprint(d.PID()))
		elsewhere = append(elsewhere, "ws://"+d.Addr)
	}
	args := []string{"-peer", srv.peer, "-label", srv.name, "-url", "ws://" + nodes[0].Addr, "-pids", strings.Join(pids, ","),
		"-dur", s.dur.String(), "-warm", (s.dur / 2).String(), "-bytes", fmt.Sprint(s.bytes)}
	switch {
	case strings.HasPrefix(c.curve, "nodes"):
		args = append(args, "-url2", strings.Join(elsewhere, ","))
	case len(nodes) > 1:
		args = append(args, "-url2", strings.Join(elsewhere[1:], ","))
	}
	if srv.peer == "fastport" {
		args = append(args, "-create", "http://"+nodes[0].Addr)
	}
	if stores := s.lab.stores(); len(stores) > 0 {
		args = append(args, "-stores", strings.Trim(strings.ReplaceAll(fmt.Sprint(stores), " ", ","), "[]"))
	}
	return slices.Concat(args, srv.flags, c.flags, e.flags)
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

func dirOf(path string) string { return filepath.Dir(path) }
