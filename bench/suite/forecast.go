package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// forecast tells how long the rest of a plan takes: each turn as long as the last one like it, or as guessed, times how much
// longer than guessed the others took.
type forecast struct {
	plan []turn
	done int
	last map[string]float64 // seconds of a scenario's server
	// Of the turns that are over: what was guessed and what they took.
	guessed, taken float64
}

// newForecast looks at what results of runs before say, as far as they were as long.
func newForecast(plan []turn, before []record) *forecast {
	f := &forecast{plan: plan, last: map[string]float64{}}
	for _, r := range before {
		if r.Took <= 0 || r.Failed != "" {
			continue
		}
		i := slices.IndexFunc(plan, func(t turn) bool { return t.c.name == r.Scenario && t.e.server == r.Server })
		if i >= 0 && strings.Contains(r.Command, plan[i].length) {
			f.last[plan[i].key()] = r.Took
		}
	}
	return f
}

func (t turn) key() string { return t.c.name + " " + t.e.server }

// took takes in that the next turn is over.
func (f *forecast) took(seconds float64) {
	t := f.plan[f.done]
	f.done++
	f.guessed, f.taken = f.guessed+t.expect.Seconds(), f.taken+seconds
	f.last[t.key()] = seconds
}

func (f *forecast) left() time.Duration {
	slower := 1.0
	if f.guessed > 0 {
		slower = f.taken / f.guessed
	}
	var sum float64
	for _, t := range f.plan[f.done:] {
		if v, ok := f.last[t.key()]; ok {
			sum += v
		} else {
			sum += t.expect.Seconds() * slower
		}
	}
	return time.Duration(sum * float64(time.Second))
}

// roughly is a time for people.
func roughly(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 90*time.Minute:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f hours", d.Hours())
}

// guess is how long a turn takes on a machine of two cores.
func (s *suite) guess(c scenario, e entry) time.Duration {
	flag := func(name string) (v float64) {
		list := slices.Concat(c.flags, e.flags)
		if i := slices.Index(list, name); i >= 0 {
			fmt.Sscan(list[i+1], &v)
		}
		return v
	}
	d := 1500 * time.Millisecond // to start, and to connect few
	for _, n := range []string{"-2", "-3", "-4", "-8"} {
		if strings.Contains(e.server, n) {
			d += meet
		}
	}
	seconds := func(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }
	switch c.flags[1] {
	case "idle":
		return d + 3*settle + seconds(flag("-n")/5000)
	case "backlog":
		return d + seconds(flag("-n")/15000)
	case "big":
		return d + settle + seconds(float64(s.bytes)/600e6)
	}
	return d + s.dur*3/2 + seconds(flag("-subs")/5000)
}
