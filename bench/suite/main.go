// Command suite measures fastport and its peers on this machine: each scenario of the tables in scenarios.go against
// each of its servers, interleaved repetition by repetition, every repetition on a fresh server. It writes a line a
// repetition to the file of results, and from all of that file the tables and the picture.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	s := &suite{told: os.Stderr}
	root := flag.String("root", "..", "the repository's `folder`")
	flag.StringVar(&s.out, "out", "../docs/benchmarks-peers", "results, tables and picture go to `NAME`.jsonl, .md and .svg")
	flag.IntVar(&s.reps, "reps", 5, "repetitions")
	flag.DurationVar(&s.dur, "duration", 5*time.Second, "measured time of a repetition")
	flag.Int64Var(&s.bytes, "bytes", 1<<30, "of a stream of chunks")
	only := flag.String("scenarios", "", "some `NAMES` of them, separated by spaces; \"curves\" is all curves, \"peers\" the comparison; default: the comparison")
	who := flag.String("servers", "", "those `NAMES` alone, separated by spaces")
	flag.BoolVar(&s.full, "full", false, "the comparison and all curves, as often the long ones too, and 8 GiB of chunks; what else is given counts all the same")
	render := flag.Bool("render", false, "only make the tables and the picture again")
	list := flag.Bool("list", false, "only list scenarios and servers, and how long those chosen take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := func() (err error) {
		if s.root, err = filepath.Abs(*root); err != nil {
			return err
		}
		if s.full {
			given := map[string]bool{}
			flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
			if !given["scenarios"] {
				*only = "peers curves"
			}
			if !given["bytes"] {
				s.bytes = 8 << 30
			}
		}
		s.chosen, err = choose(strings.Fields(*only), strings.Fields(*who))
		switch {
		case err != nil:
			return err
		case *list:
			for _, c := range append(scenarios(), curves()...) {
				fmt.Printf("%-28s", c.name)
				for _, e := range c.entries {
					fmt.Print(" ", e.server)
				}
				fmt.Println()
			}
			plan := s.plan()
			fmt.Printf("\n%d of them, %d measurements, take about %s.\n", len(s.chosen), len(plan), roughly(newForecast(plan, nil).left()))
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

// choose picks scenarios by their names or their curve's, and of their servers those named.
func choose(names, who []string) (list []scenario, err error) {
	known := append(scenarios(), curves()...)
	for _, n := range names {
		if n != "curves" && n != "peers" && !slices.ContainsFunc(known, func(s scenario) bool { return s.name == n || s.curve == n }) {
			return nil, fmt.Errorf("there is no scenario %q; -list tells which there are", n)
		}
	}
	for _, n := range who {
		if _, err := serverNamed(n); err != nil {
			return nil, err
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
