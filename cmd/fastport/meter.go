package main

import (
	"fmt"
	"strings"
	"time"
)

// meter is one file's progress and pace.
type meter struct {
	name       string // printable
	size, done int64
	receivers  int
	began      time.Time
	samples    []sample // of the last horizon
}

type sample struct {
	at   time.Time
	done int64
}

// sample notes where the file is now.
func (m *meter) sample(now time.Time) {
	m.samples = append(m.samples, sample{now, m.done})
	for len(m.samples) > 2 && now.Sub(m.samples[0].at) > horizon {
		m.samples = m.samples[1:]
	}
}

// rate is in bytes a second over the last horizon, 0 where it is not known yet.
func (m *meter) rate() float64 {
	if len(m.samples) < 2 {
		return 0
	}
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	took := last.at.Sub(first.at).Seconds()
	if took <= 0 {
		return 0
	}
	return max(0, float64(last.done-first.done)/took)
}

func (m *meter) percent() int {
	if m.size <= 0 {
		return 100
	}
	return int(100 * m.done / m.size)
}

// left is the time to the end at this rate, "" where that cannot be said.
func (m *meter) left() string {
	rate := m.rate()
	if rate < 1 {
		return ""
	}
	seconds := int64(float64(m.size-m.done)/rate + 0.5)
	switch h := seconds / 3600; {
	case h >= 100:
		return "days left"
	case h > 0:
		return fmt.Sprintf("%d:%02d:%02d left", h, seconds/60%60, seconds%60)
	default:
		return fmt.Sprintf("%d:%02d left", seconds/60, seconds%60)
	}
}

// facts are percent, size, rate and time left.
func (m *meter) facts() string {
	text := fmt.Sprintf("%3d%% of %s", m.percent(), size(m.size))
	if rate := m.rate(); rate > 0 {
		text += "  " + size(int64(rate)) + "/s"
	}
	if left := m.left(); left != "" {
		text += "  " + left
	}
	return text
}

// plain is a line without a bar; more is how many other files are under way.
func (m *meter) plain(more int) string {
	return m.name + others(more) + ": " + strings.TrimSpace(m.facts())
}

// bar is a line at most width columns wide: where not all has room, first the bar goes, then the end of the name.
func (m *meter) bar(width, more int) string {
	const least, most = 10, 30
	facts := m.facts()
	name := m.name + others(more)
	if room := width - columns(name) - columns(facts) - len("  []  "); room >= least {
		cells := min(room, most)
		full := cells
		if m.size > 0 {
			full = int(int64(cells) * m.done / m.size)
		}
		return name + "  [" + strings.Repeat("#", full) + strings.Repeat(".", cells-full) + "]  " + facts
	}
	return fit(fit(name, max(8, width-columns(facts)-2))+"  "+facts, width)
}

func others(more int) string {
	if more == 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more", more)
}

// summary tells of a file that is done: its size, time and rate.
func (m *meter) summary() string {
	took := time.Since(m.began)
	text := fmt.Sprintf("%s in %.1f s", size(m.size), took.Seconds())
	if took >= 100*time.Millisecond { // of less, a rate says nothing
		text += fmt.Sprintf(", %s/s", size(int64(float64(m.size)/took.Seconds())))
	}
	return text
}

// size is a number of bytes for people.
func size(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1023.95 && unit < 5 { // what would be shown as 1024.0
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[unit])
}

// columns is how wide a text stands: the scripts of East Asia and pictures take two columns a character.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r >= 0x1100 {
			if r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xfaff ||
				r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0x1f300 && r <= 0x1faff || r >= 0x20000 {
				n++
			}
		}
	}
	return n
}

// fit cuts a text to width columns, with … where something is missing.
func fit(s string, width int) string {
	if columns(s) <= width {
		return s
	}
	used := 0
	for i, r := range s {
		if w := columns(string(r)); used+w > width-1 {
			return s[:i] + "…"
		} else {
			used += w
		}
	}
	return s
}
