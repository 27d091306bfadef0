package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// style follows the reader's light or dark, on a ground of its own.
const style = `<style>
text{font:13px system-ui,sans-serif;fill:#24292f}.h{font-weight:600;font-size:15px}.s{fill:#59636e;font-size:12px}
.bg{fill:#fff}.g{stroke:#d8dee4;stroke-width:1}.d{fill:#8c959f}.r{stroke:#8c959f;stroke-width:3}.our{fill:#0969da;font-weight:600}
.our-r{stroke:#0969da;stroke-width:3}.l{fill:none;stroke:#0969da;stroke-width:2}.o{stroke:#8c959f}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.s{fill:#9198a1}.bg{fill:#0d1117}.g{stroke:#30363d}.d{fill:#7d8590}.r{stroke:#7d8590}
.our{fill:#4493f8}.our-r{stroke:#4493f8}.l{stroke:#4493f8}.o{stroke:#7d8590}}
</style>
`

// drawing collects an SVG's elements.
type drawing struct{ b strings.Builder }

func (d *drawing) text(x, y float64, class, anchor, text string) {
	fmt.Fprintf(&d.b, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, html.EscapeString(text))
}

func (d *drawing) line(x0, y0, x1, y1 float64, class string) {
	fmt.Fprintf(&d.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x0, y0, x1, y1, class)
}

func (d *drawing) dot(x, y float64, class string) {
	fmt.Fprintf(&d.b, `<circle cx="%.1f" cy="%.1f" r="4.5" class="%s"/>`+"\n", x, y, class)
}

func (d *drawing) svg(width, height float64, title string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`+"\n<title>%[3]s</title>\n%[4]s"+
		`<rect class="bg" width="100%%" height="100%%"/>`+"\n%[5]s</svg>\n", width, height, html.EscapeString(title), style, d.b.String())
}

// scale maps values onto a span of the picture, by their logarithms.
type scale struct{ lo, hi, from, to float64 }

func newScale(values []float64, from, to float64) scale {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if v > 0 {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if lo > hi {
		lo, hi = 1, 1
	}
	if hi/lo < 10 { // a small difference looks small
		middle := math.Sqrt(lo * hi)
		lo, hi = middle/math.Sqrt(10), middle*math.Sqrt(10)
	}
	return scale{math.Log(lo), math.Log(hi), from, to}
}

func (s scale) at(v float64) float64 {
	return s.from + (math.Log(v)-s.lo)/(s.hi-s.lo)*(s.to-s.from)
}

// column is what one column of the picture shows: a metric, or the span between two.
type column struct {
	title  string
	any    []metric // the first that a scenario shows
	toward *metric
}

// picture has a row a server in a block a scenario, and in each column a dot on a logarithmic scale.
func picture(list []record) string {
	const width, label, gap, row = 1240.0, 170.0, 96.0, 21.0
	columns := []column{
		{"throughput (more is better)", []metric{acked, delivered, conns, speed}, nil}, {"server CPU (less is better)", []metric{cpu, connCPU}, nil},
		{"latency, p50 to p99 in ms", []metric{p50, first}, &p99}, {"memory", []metric{perConn, growth, peak, memory}, nil},
	}
	span := (width - label - 20) / float64(len(columns))
	d := &drawing{}
	y := 28.0
	d.text(14, y, "h", "start", "fastPort and its peers: logarithmic scales, medians")
	for i, c := range columns {
		d.text(label+float64(i)*span, y+24, "s", "start", c.title)
	}
	y += 36
	for _, c := range scenarios() {
		var present []entry
		for _, e := range c.entries {
			if len(measured(list, c.name, e.server)) > 0 {
				present = append(present, e)
			}
		}
		if len(present) == 0 {
			continue
		}
		y += 26
		title, _, _ := strings.Cut(c.title, ";")
		d.text(14, y, "h", "start", title)
		y += 17 // the units have a line of their own
		for i, col := range columns {
			m, ok := shown(c, col.any)
			if !ok {
				continue
			}
			left := label + float64(i)*span
			d.text(left+span-gap, y, "s", "start", m.title)
			var values []float64
			for _, e := range present {
				reps := measured(list, c.name, e.server)
				if v, ok := m.value(reps); ok {
					values = append(values, v)
				}
				if col.toward != nil && m.key == p50.key {
					if v, ok := col.toward.value(reps); ok {
						values = append(values, v)
					}
				}
			}
			s := newScale(values, left+8, left+span-gap-12)
			for j, e := range present {
				reps := measured(list, c.name, e.server)
				v, ok := m.value(reps)
				if !ok || v <= 0 {
					continue
				}
				at := y + row*float64(j+1)
				class, text := "", "d"
				if ours(e.server) {
					class, text = "our", "our"
				}
				d.line(left+8, at-4, left+span-gap-12, at-4, "g")
				figure := number(v)
				if w, ok := p99.value(reps); ok && col.toward != nil && m.key == p50.key && w > 0 {
					d.line(s.at(v), at-4, s.at(w), at-4, map[string]string{"our": "our-r", "d": "r"}[text])
					d.dot(s.at(w), at-4, text)
					figure += " to " + number(w)
				}
				d.dot(s.at(v), at-4, text)
				d.text(left+span-gap, at, class, "start", figure)
			}
		}
		for j, e := range present {
			class := ""
			if ours(e.server) {
				class = "our"
			}
			d.text(14, y+row*float64(j+1), class, "start", e.server)
		}
		y += row * float64(len(present))
	}
	return d.svg(width, y+24, "Throughput, server CPU, latency and memory of fastPort and its peers")
}

// shown is the first of some metrics that the scenario shows.
func shown(c scenario, any []metric) (metric, bool) {
	for _, m := range any {
		for _, s := range c.show {
			if s.key == m.key {
				return m, true
			}
		}
	}
	return metric{}, false
}

// drawCurves has a panel a curve, cost of a unit over what grows, ours and what is beside it; "" where none was measured.
func drawCurves(list []record) string {
	const w, h, perRow = 400.0, 250.0, 3
	var names []string
	points := map[string][]scenario{}
	for _, c := range curves() {
		if _, ok := c.cost(list, 0); ok {
			if points[c.curve] == nil {
				names = append(names, c.curve)
			}
			points[c.curve] = append(points[c.curve], c)
		}
	}
	if len(names) == 0 {
		return ""
	}
	d := &drawing{}
	for i, n := range names {
		left, top := float64(i%perRow)*w+20, float64(i/perRow)*h+30
		of := points[n][0]
		var xs, vs []float64
		for _, c := range points[n] {
			xs = append(xs, c.x)
			for e := range c.entries {
				v, _ := c.cost(list, e)
				vs = append(vs, v)
			}
		}
		title, more, _ := strings.Cut(of.title, " (")
		d.text(left, top, "h", "start", title)
		d.text(left, top+17, "s", "start", strings.TrimSuffix(of.show[0].title+"; "+strings.TrimSuffix(more, ")"), "; "))
		sx, sy := newScale(xs, left+24, left+w-60), newScale(vs, top+h-70, top+50)
		d.line(left, top+h-55, left+w-40, top+h-55, "g")
		for e := len(of.entries) - 1; e >= 0; e-- { // ours above what is beside it
			dot, path := "our", "l"
			if e > 0 {
				dot, path = "d", "l o"
			}
			var through []string
			for _, c := range points[n] {
				v, ok := c.cost(list, e)
				if !ok {
					continue
				}
				x, y := sx.at(c.x), sy.at(v)
				through = append(through, fmt.Sprintf("%.1f,%.1f", x, y))
				d.dot(x, y, dot)
				if e == 0 {
					d.text(x, y-10, dot, "middle", number(v))
					d.text(x, top+h-38, "s", "middle", number(c.x))
				} else {
					d.text(x, y+18, "s", "middle", number(v))
				}
			}
			fmt.Fprintf(&d.b, `<polyline class="%s" points="%s"/>`+"\n", path, strings.Join(through, " "))
		}
		if len(of.entries) > 1 {
			d.text(left, top+33, "s", "start", "grey: "+of.entries[1].server)
		}
	}
	rows := (len(names) + perRow - 1) / perRow
	return d.svg(perRow*w+20, float64(rows)*h+20, "What a unit costs as subscribers, topics, connections, nodes and stored messages grow")
}
