package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fastport/fastport/internal/daemon"
)

const (
	settle   = 4 * time.Second  // the generator's rest before it reads memory
	tooLong  = 20 * time.Minute // of one generator: it hangs
	reported = 300              // bytes of why something failed
)

// measure is one repetition on fresh servers. A failure is in the record: the others go on.
func (s *suite) measure(ctx context.Context, t turn) record {
	r := s.about
	r.Scenario, r.Server, r.Rep, r.Time = t.c.name, t.e.server, t.rep, time.Now().UTC().Format(time.RFC3339)
	fail := func(err error) record { r.Failed = short(err.Error()); return r }
	srv, err := serverNamed(t.e.server)
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
			return fail(err)
		}
	}
	if len(nodes) > 1 {
		time.Sleep(meet)
	}
	parts := [][]*daemon.Daemon{nodes}
	if t.c.each {
		parts = slices.Collect(slices.Chunk(nodes, 1))
	}
	figures, said, errs := make([]map[string]any, len(parts)), make([]string, len(parts)), make([]error, len(parts))
	var work sync.WaitGroup
	for i, part := range parts {
		args := s.arguments(t, srv, part)
		if i == 0 {
			r.Command = "generator " + strings.Join(args, " ")
		}
		work.Go(func() { figures[i], said[i], errs[i] = s.generate(ctx, args) })
	}
	work.Wait()
	for _, err := range errs {
		if err != nil {
			return fail(err)
		}
	}
	r.Figures, r.Said = merge(figures), short(strings.Join(said, " "))
	other, _ := lookup(r.Figures, "other_cpu_s")
	if took, _ := lookup(r.Figures, "dur_s"); took > 0 {
		r.OthersCPU = other / took
	}
	r.Disturbed = r.OthersCPU > tolerated
	return r
}

// generate runs the generator and returns the figures that it prints, and what else it says.
func (s *suite) generate(ctx context.Context, args []string) (figures map[string]any, said string, err error) {
	bounded, cancel := context.WithTimeout(ctx, tooLong)
	defer cancel()
	cmd := exec.CommandContext(bounded, filepath.Join(s.lab.dir, "generator"), args...)
	var out, told bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &told
	if err := cmd.Run(); err != nil {
		return nil, "", fmt.Errorf("generator: %w: %s", err, told.String())
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "{") {
			err = json.Unmarshal([]byte(line), &figures)
		} else {
			said += line
		}
	}
	if err == nil && figures == nil {
		err = fmt.Errorf("generator: it printed no figures")
	}
	return figures, said, err
}

// merge makes one of what several generators found, each of its own node: what is counted adds up, what is a unit's cost is the
// mean. Others' CPU is that of one of them less what the rest and their nodes used.
func merge(list []map[string]any) map[string]any {
	if len(list) == 1 {
		return list[0]
	}
	sum := map[string]float64{}
	for _, figures := range list {
		for key, v := range figures {
			if n, ok := v.(float64); ok {
				sum[key] += n
			}
		}
	}
	merged := map[string]any{"note": list[0]["note"], "generators": float64(len(list))}
	for key, v := range sum {
		switch key {
		case "srv_rss_kb", "srv_peak_rss_kb", "srv_fresh_rss_kb", "srv_cpu_s", "cli_cpu_s", "closed", "errors", "lost", "dups", "out_of_order":
			merged[key] = v
		default:
			merged[key] = v / float64(len(list))
		}
	}
	n := float64(len(list))
	merged["other_cpu_s"] = max(0, (sum["other_cpu_s"]-(n-1)*(sum["srv_cpu_s"]+sum["cli_cpu_s"]))/n)
	return merged
}

// arguments are the generator's, for all nodes or for one that has a generator of its own.
func (s *suite) arguments(t turn, srv server, nodes []*daemon.Daemon) []string {
	var pids, elsewhere, collect []string
	for _, d := range nodes {
		pids = append(pids, fmt.Sprint(d.PID()))
		elsewhere = append(elsewhere, "ws://"+d.Addr)
		if url := s.lab.collect[d]; url != "" {
			collect = append(collect, url)
		}
	}
	args := slices.Concat([]string{"-peer", srv.peer, "-label", srv.name, "-url", "ws://" + nodes[0].Addr, "-pids", strings.Join(pids, ",")}, s.length())
	switch {
	case strings.HasPrefix(t.c.curve, "nodes"):
		args = append(args, "-url2", strings.Join(elsewhere, ","))
	case len(nodes) > 1:
		args = append(args, "-url2", strings.Join(elsewhere[1:], ","))
	}
	if srv.peer == "fastport" {
		args = append(args, "-create", "http://"+nodes[0].Addr)
	}
	if t.c.flags[1] == "idle" || t.c.flags[1] == "big" {
		args = append(args, "-settle", settle.String())
		if len(collect) > 0 {
			args = append(args, "-collect", strings.Join(collect, ","))
		}
	}
	if srv.redis && t.c.curve != "" {
		args = append(args, "-redis", "redis://"+s.lab.redis.Addr)
	}
	if stores := s.lab.stores(); len(stores) > 0 {
		args = append(args, "-stores", strings.Trim(strings.ReplaceAll(fmt.Sprint(stores), " ", ","), "[]"))
	}
	return slices.Concat(args, srv.flags, t.c.flags, t.e.flags)
}

// length is what says how long the generator measures.
func (s *suite) length() []string {
	return []string{"-dur", s.dur.String(), "-warm", (s.dur / 2).String(), "-bytes", fmt.Sprint(s.bytes)}
}

// short is why something failed, in a line that a table can hold: its end, where the reason stands.
func short(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > reported {
		text = "… " + strings.ToValidUTF8(text[len(text)-reported:], "")
	}
	return text
}
