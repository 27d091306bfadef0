package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/fastport/fastport/client"
)

func TestMeter_Lines(t *testing.T) {
	start := time.Unix(1000, 0)
	half := meter{name: "photo.jpg", size: 2 << 20, done: 1 << 20, samples: []sample{{start, 0}, {start.Add(2 * time.Second), 1 << 20}}}
	fresh := meter{name: "photo.jpg", size: 2 << 20}
	long := meter{name: strings.Repeat("long-", 30) + "name.tar", size: 3 << 30, done: 1 << 30, samples: []sample{{start, 1<<30 - 100<<10}, {start.Add(time.Second), 1 << 30}}}
	empty := meter{name: "empty"}
	stuck := meter{name: "a", size: 100, done: 50, samples: []sample{{start, 50}, {start.Add(time.Second), 50}}}
	wide := meter{name: "写真写真写真写真写真.jpg", size: 10, done: 10}
	for _, c := range []struct {
		name  string
		got   string
		want  string
		width int
	}{
		{"at a half", half.bar(80, 0), "photo.jpg  [#############.............]   50% of 2.0 MiB  512.0 KiB/s  0:02 left", 80},
		{"in a wide terminal", half.bar(200, 0), "photo.jpg  [###############...............]   50% of 2.0 MiB  512.0 KiB/s  0:02 left", 200},
		{"among others", half.bar(90, 2), "photo.jpg and 2 more  [############.............]   50% of 2.0 MiB  512.0 KiB/s  0:02 left", 90},
		{"at the start", fresh.bar(60, 0), "photo.jpg  [..............................]    0% of 2.0 MiB", 60},
		{"in a narrow terminal", half.bar(50, 0), "photo.jpg   50% of 2.0 MiB  512.0 KiB/s  0:02 left", 50},
		{"with a long name", long.bar(60, 0), "long-long-long-…   33% of 3.0 GiB  100.0 KiB/s  5:49:32 left", 60},
		{"of nothing", empty.bar(60, 0), "empty  [##############################]  100% of 0 B", 60},
		{"standing still", stuck.bar(40, 0), "a  [##########..........]   50% of 100 B", 40},
		{"in wide letters", wide.bar(45, 0), "写真写真写真写真写真.jpg  100% of 10 B", 45},
		{"as a plain line", half.plain(0), "photo.jpg: 50% of 2.0 MiB  512.0 KiB/s  0:02 left", 0},
	} {
		if c.got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, c.got, c.want)
		}
		if c.width > 0 && columns(c.got) > c.width {
			t.Errorf("%s: %d columns, want %d at most", c.name, columns(c.got), c.width)
		}
	}
}

func TestMeter_NeverIsWiderThanTheTerminal(t *testing.T) {
	for width := range 130 {
		for _, name := range []string{"", "a", strings.Repeat("日本", 40), strings.Repeat("x", 300)} {
			m := meter{name: name, size: 1 << 40, done: 1 << 39, samples: []sample{{time.Unix(0, 0), 0}, {time.Unix(3, 0), 1 << 39}}}
			line := m.bar(width, 1)
			if columns(line) > max(width, 1) || !utf8.ValidString(line) {
				t.Fatalf("width %d: %d columns: %q", width, columns(line), line)
			}
		}
	}
}

func TestMeter_TheRateIsThatOfTheLastSeconds(t *testing.T) {
	var m meter
	m.size = 1 << 30
	at := time.Unix(0, 0)
	step := func(n int, bytes int64) {
		for range n {
			at = at.Add(100 * time.Millisecond)
			m.done += bytes
			m.sample(at)
		}
	}
	step(100, 1<<20)
	step(60, 1<<10) // slower by a thousand, for six seconds
	if got := m.rate(); got < 10<<10*0.9 || got > 10<<10*1.3 {
		t.Errorf("rate = %.0f, want about %d", got, 10<<10)
	}
	if len(m.samples) > 60 {
		t.Errorf("%d samples are kept", len(m.samples))
	}
}

func TestSize_IsForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB", 1 << 20: "1.0 MiB", 5 << 40: "5.0 TiB", 1<<63 - 1: "8.0 EiB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestProgress_DrawsOneLineAgainOnATerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&env{Stderr: &out, Lookup: environment{}.lookup}, "sending")
		p.width = func() int { return 61 }
		stop := p.start(t.Context())
		p.Report(client.FileProgress{FileID: "1", Name: "a\x1b.txt", Size: 1000, Done: 250, Receivers: 1})
		time.Sleep(redraw + redraw/2)
		p.Say("connection lost")
		m := p.End("1")
		stop()
		want := "\ra\\x1b.txt  [#######.......................]   25% of 1000 B\x1b[K" + "\r\x1b[K" + "fastport: connection lost\n"
		if got := out.String(); got != want {
			t.Errorf("drawn\n%q\nwant\n%q", got, want)
		}
		if m.size != 1000 {
			t.Errorf("size = %d, want 1000", m.size)
		}
	})
}

func TestProgress_IsPlainLinesElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newProgress(&env{Stderr: &out, Lookup: environment{}.lookup}, "sending")
		stop := p.start(t.Context())
		p.Report(client.FileProgress{FileID: "1", Name: "a.txt", Size: 2000})
		p.Report(client.FileProgress{FileID: "1", Name: "a.txt", Size: 2000, Done: 500})
		time.Sleep(relate + relate/2)
		p.End("1")
		time.Sleep(relate)
		stop()
		want := "fastport: sending a.txt, 2.0 KiB\nfastport: sending a.txt: 25% of 2.0 KiB\n"
		if got := out.String(); got != want {
			t.Errorf("told\n%s\nwant\n%s", got, want)
		}
	})
}

func TestProgress_AFileIsNoTerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/err")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if w := terminalWidth(&env{Stderr: f, Lookup: environment{}.lookup})(); w != 0 {
		t.Errorf("width = %d, want 0", w)
	}
}
