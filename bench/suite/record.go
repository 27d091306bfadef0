package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// record is one repetition as the file of results has it, a line each.
type record struct {
	Scenario  string         `json:"scenario"`
	Server    string         `json:"server"`
	Rep       int            `json:"rep"`
	OthersCPU float64        `json:"others_cpu"` // cores that neither server, stores nor generator used
	Disturbed bool           `json:"disturbed"`  // more than a tenth of one
	Failed    string         `json:"failed,omitempty"`
	Took      float64        `json:"took_s,omitempty"` // with the start of its servers
	Time      string         `json:"time"`
	Run       string         `json:"run,omitempty"` // when the run began that it is of
	Machine   string         `json:"machine"`
	Kernel    string         `json:"kernel"`
	Go        string         `json:"go"`
	Commit    string         `json:"commit"`
	Command   string         `json:"command"`
	Figures   map[string]any `json:"figures,omitempty"` // the generator's line
	Said      string         `json:"said,omitempty"`    // and what else it said, as why connections were closed
}

const tolerated = 0.1 // cores

// wrong tells what a measured repetition should have none of; "" where all is well.
func (r record) wrong() string {
	var list []string
	for _, key := range []string{"lost", "dups", "out_of_order", "errors", "closed", "stalls"} {
		if n, _ := lookup(r.Figures, key); n > 0 {
			list = append(list, strings.ReplaceAll(key, "_", " ")+" "+number(n))
		}
	}
	return strings.Join(list, ", ")
}

// readRecords reads a file of results; one that is not there is empty.
func readRecords(path string) (list []record, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, lines.Err()
}

// writeRecords puts the list where path is, whole or not at all.
func writeRecords(path string, list []record) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".results-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	enc := json.NewEncoder(f)
	for _, r := range list {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	if err := errors.Join(f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// measured is a server's repetitions of a scenario.
func measured(list []record, scenario, server string) (reps []record) {
	for _, r := range list {
		if r.Scenario == scenario && r.Server == server && r.Failed == "" {
			reps = append(reps, r)
		}
	}
	return reps
}

// value is the median of a metric; false where no repetition has it.
func (m metric) value(reps []record) (float64, bool) {
	var all []float64
	for _, r := range reps {
		if v, ok := lookup(r.Figures, m.key); ok {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	v := median(all)
	if m.scale != 0 {
		v *= m.scale
	}
	return v, true
}

// lookup finds a figure; one of a group by both their names with a dot between.
func lookup(figures map[string]any, key string) (float64, bool) {
	if group, rest, ok := strings.Cut(key, "."); ok {
		figures, _ = figures[group].(map[string]any)
		key = rest
	}
	v, ok := figures[key].(float64)
	return v, ok
}

// median is the middle one, or between the two in the middle.
func median(list []float64) float64 {
	list = slices.Sorted(slices.Values(list))
	n := len(list)
	return (list[(n-1)/2] + list[n/2]) / 2
}

func disturbed(reps []record) (n int) {
	for _, r := range reps {
		if r.Disturbed {
			n++
		}
	}
	return n
}
