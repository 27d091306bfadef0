package verify

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d nodes, %s, %d messages a second on %d topics, %d durable subscribers, seed %d\n\n",
		r.Nodes, r.Duration.Round(time.Second), r.Rate, r.Topics, r.Durable, r.Seed)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(cells ...any) {
		for _, c := range cells {
			fmt.Fprintf(t, "%v\t", c)
		}
		fmt.Fprintln(t)
	}
	row("published", "acked", "failed", "delivered", "repeats, flagged", "held back")
	row(r.Published, r.Acked, r.Failed, r.Delivered, r.Repeats, r.Held)
	t.Flush()
	fmt.Fprintf(&b, "\nof qos 0 besides: %d published, %d acked, %d delivered\n", r.Once.Published, r.Once.Acked, r.Once.Delivered)

	b.WriteString("\n")
	row("", "p50", "p99", "max", "count")
	for _, l := range []struct {
		name string
		of   Latency
	}{
		{"publish to ack", r.Ack}, {"publish to delivery", r.Delivery}, {"publish to delivery, beside stuck readers", r.Aside},
		{"publish to ack, with faults", r.FaultyAck}, {"publish to delivery, with faults", r.FaultyDelivery},
	} {
		if l.of.Count > 0 {
			row(l.name, ms(l.of.P50), ms(l.of.P99), ms(l.of.Max), l.of.Count)
		}
	}
	t.Flush()

	if len(r.Faults) > 0 {
		b.WriteString("\n")
		t = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		row("at", "for", "fault", "on", "", "")
		for _, f := range r.Faults {
			row(seconds(f.From), seconds(f.To-f.From), f.Name, f.On, f.outcome(), f.verdict())
		}
		t.Flush()
		fmt.Fprintf(&b, "worst recovery: %s, and %s is promised\n", seconds(r.WorstRecovery), seconds(Promise))
	}
	if len(r.Outages) > 0 {
		b.WriteString("\nNot served:\n")
		t = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		row("from", "for", "through")
		for _, o := range r.Outages {
			row(seconds(o.From), seconds(o.To-o.From), o.Through)
		}
		t.Flush()
	}

	b.WriteString("\n")
	t = tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	heads, counts := []any{}, []any{}
	for _, breach := range Breaches {
		heads, counts = append(heads, string(breach)), append(counts, r.Breaches[breach])
		if len(heads) == 7 {
			row(heads...)
			row(counts...)
			t.Flush()
			heads, counts = nil, nil
		}
	}
	row(heads...)
	row(counts...)
	t.Flush()
	if r.OK {
		b.WriteString("\nEvery promise was kept.\n")
	} else {
		b.WriteString("\nBroken promises (the first of each kind):\n")
		for _, f := range r.Evidence {
			fmt.Fprintf(&b, "  %8.2fs  %-12s  %s\n", f.At.Seconds(), f.Breach, f.Text)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// String is the line of a moment.
func (p Progress) String() string {
	text := fmt.Sprintf("%4.0f/%.0fs  published %d  acked %d  delivered %d  owed %d", p.At.Seconds(), p.Duration.Seconds(), p.Published, p.Acked, p.Delivered, p.Owed)
	if p.Fault != "" {
		text += "  " + p.Fault
	}
	if p.Breaches > 0 {
		text += fmt.Sprintf("  BROKEN %d", p.Breaches)
	}
	return text
}

func ms(d time.Duration) string      { return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond)) }
func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }
