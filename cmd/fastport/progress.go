package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// meter shows how far a file is: on a terminal one line that is drawn again, else a line at each quarter.
type meter struct {
	w     io.Writer
	verb  string
	name  string
	width int // of the terminal; 0: none

	started time.Time
	sampled time.Time
	at      int64   // bytes, when sampled
	rate    float64 // bytes a second, smoothed
	drawn   bool
	quarter int64
	last    int64 // bytes
	size    int64
}

const (
	drawEvery = 100 * time.Millisecond
	// smoothing is the weight of a new sample: the rate follows within a second or two, and does not flicker.
	smoothing = 0.2
)

func newMeter(w io.Writer, verb, name string) *meter {
	m := &meter{w: w, verb: verb, name: printable(strings.ReplaceAll(filepath.Base(name), "\n", " ")), started: time.Now()}
	m.sampled = m.started
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		if m.width, _, _ = term.GetSize(int(f.Fd())); m.width == 0 {
			m.width = 80
		}
	}
	return m
}

// update takes how many bytes of size are done.
func (m *meter) update(done, size int64, receivers int) {
	now := time.Now()
	m.last, m.size = done, size
	if since := now.Sub(m.sampled); since >= drawEvery || done == size {
		if since > 0 {
			sample := float64(done-m.at) / since.Seconds()
			if m.rate == 0 {
				m.rate = sample
			}
			m.rate += smoothing * (max(0, sample) - m.rate)
		}
		m.sampled, m.at = now, done
	} else if m.drawn {
		return
	}
	m.drawn = true
	if m.width > 0 {
		fmt.Fprintf(m.w, "\r%s\x1b[K", m.bar(done, size, receivers))
		return
	}
	if q := 4 * done / max(size, 1); q > m.quarter && q < 4 {
		m.quarter = q
		fmt.Fprintf(m.w, "%s %s: %d%% of %s, %s\n", m.verb, m.name, 25*q, bytesText(size), m.pace(done, size))
	}
}

// end shows the result.
func (m *meter) end(err error) {
	if m.width > 0 && m.drawn {
		fmt.Fprint(m.w, "\r\x1b[K")
	}
	if err != nil {
		fmt.Fprintf(m.w, "%s %s: failed after %s of %s\n", m.verb, m.name, bytesText(m.last), bytesText(m.size))
		return
	}
	took := time.Since(m.started)
	fmt.Fprintf(m.w, "%s %s: done, %s in %s, %s/s\n", m.verb, m.name, bytesText(m.size), took.Round(10*time.Millisecond),
		bytesText(int64(float64(m.size)/max(took.Seconds(), 1e-3))))
}

// bar is one line, no wider than the terminal.
func (m *meter) bar(done, size int64, receivers int) string {
	share := 1.0
	if size > 0 {
		share = min(1, float64(done)/float64(size))
	}
	tail := fmt.Sprintf(" %3d%%  %s", int(100*share), m.pace(done, size))
	if receivers > 1 {
		tail += fmt.Sprintf("  to %d", receivers)
	}
	name := m.name
	if room := m.width / 3; utf8.RuneCountInString(name) > room {
		name = string([]rune(name)[:max(1, room-1)]) + "…"
	}
	cells := min(40, m.width-utf8.RuneCountInString(name)-utf8.RuneCountInString(tail)-4)
	if cells < 4 {
		return name + tail
	}
	full := int(share * float64(cells))
	return name + " [" + strings.Repeat("=", full) + strings.Repeat(" ", cells-full) + "]" + tail
}

// pace is the rate and the time left at it.
func (m *meter) pace(done, size int64) string {
	if m.rate < 1 {
		return bytesText(0) + "/s"
	}
	left := time.Duration(float64(size-done) / m.rate * float64(time.Second)).Round(time.Second)
	return fmt.Sprintf("%s/s  %s left", bytesText(int64(m.rate)), left)
}

// bytesText is n for people.
func bytesText(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < 4 {
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[unit])
}
