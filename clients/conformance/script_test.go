package conformance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// script is one scenario: a file of steps, one a line. README.md has the grammar.
type script struct {
	name  string
	steps []*step
}

// step is one line.
type step struct {
	line    int
	text    string // as it stands there
	subject string // a client, "net", "node", "session" or "nodes"
	verb    string
	args    []string
	options map[string]string
	apart   bool     // ends in &: its end is not waited for
	code    string   // what it is to fail with
	without []string // the faults under which this very step must fail
}

// load reads the scenarios of a folder, in the order of their names.
func load(folder string) ([]*script, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil {
		return nil, err
	}
	var list []*script
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		s, err := parse(strings.TrimSuffix(filepath.Base(file), ".txt"), string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		list = append(list, s)
	}
	return list, nil
}

func parse(name, text string) (*script, error) {
	s := &script{name: name}
	var without []string
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if fault, ok := strings.CutPrefix(line, "without "); ok {
			without = append(without, strings.TrimSuffix(fault, ":"))
			continue
		}
		st, err := parseStep(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		st.line, st.without = i+1, without
		if without = nil; st.check() != nil {
			return nil, fmt.Errorf("line %d: %w", st.line, st.check())
		}
		s.steps = append(s.steps, st)
	}
	if without != nil || len(s.steps) == 0 {
		return nil, errors.New("no step is left")
	}
	return s, nil
}

func parseStep(line string) (*step, error) {
	st := &step{text: line, options: map[string]string{}}
	words, err := split(line)
	if err != nil {
		return nil, err
	}
	if n := len(words); words[n-1].text == "&" {
		st.apart, words = true, words[:n-1]
	}
	if n := len(words); n > 2 && words[n-2].text == "=>" {
		st.code, words = words[n-1].text, words[:n-2]
	}
	for _, w := range words {
		name, value, found := strings.Cut(w.text, "=")
		switch {
		case found && !w.quoted:
			st.options[name] = value
		case st.subject == "":
			st.subject = w.text
		case st.verb == "" && st.subject != "session" && st.subject != "nodes":
			st.verb = w.text
		default:
			st.args = append(st.args, w.text)
		}
	}
	if st.subject == "session" || st.subject == "nodes" {
		st.subject, st.verb = "", st.subject
	}
	if st.verb == "" {
		return nil, fmt.Errorf("%q: a step is a subject and a verb", line)
	}
	return st, nil
}

type word struct {
	text   string
	quoted bool
}

// split cuts a line at its spaces, but for those between double quotes.
func split(line string) (words []word, err error) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		if line[0] != '"' {
			text, rest, _ := strings.Cut(line, " ")
			words = append(words, word{text: text})
			line = rest
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, fmt.Errorf("%s: a quote that does not end", line)
		}
		text, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, err
		}
		words = append(words, word{text, true})
		line = line[len(quoted):]
	}
	return words, nil
}

// texts is what an argument stands for: 1..20 for twenty texts, all else for itself.
func texts(arg string) []string {
	from, to, found := strings.Cut(arg, "..")
	first, err1 := strconv.Atoi(from)
	last, err2 := strconv.Atoi(to)
	if !found || err1 != nil || err2 != nil {
		return []string{arg}
	}
	var list []string
	for n := first; n <= last; n++ {
		list = append(list, strconv.Itoa(n))
	}
	return list
}

// faults lists those that the scenario names.
func (s *script) faults() (names []string) {
	for _, st := range s.steps {
		for _, name := range st.without {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func TestScript_WhatIsMistypedIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "# nothing", "bob", "bob conect", "bob expect t", "bob expect t x retyr=yes", "without nonsense:\nbob wait", "bob wait\nwithout order:", `bob emit t "x`, "net of bob",
	} {
		if s, err := parse("x", text); err == nil {
			t.Errorf("%q is taken, as %+v", text, s.steps[0])
		}
	}
	s, err := parse("x", "# what\nwithout order:\nbob emit t \"a=b & \\\"c\\\"\" id=1 & \nbob connect key=other => key_mismatch")
	if err != nil {
		t.Fatal(err)
	}
	first, second := s.steps[0], s.steps[1]
	if first.line != 3 || first.args[1] != `a=b & "c"` || first.options["id"] != "1" || !first.apart || !slices.Equal(s.faults(), []string{"order"}) {
		t.Errorf("the first step is %+v", first)
	}
	if second.code != "key_mismatch" || second.options["key"] != "other" || second.without != nil {
		t.Errorf("the second step is %+v", second)
	}
}
