package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/fastport/fastport/verify"
)

// benchView is what a benchmark shows of a moment.
type benchView struct {
	at                                  time.Duration
	published, acked, failed, delivered uint64
	times                               verify.Histogram // of deliveries
	lasting                             bool             // the measured time is not over
}

func (t *tally) view() benchView {
	v := benchView{at: t.now(), published: t.published.Load(), failed: t.failed.Load()}
	v.lasting = v.at < t.until()
	v.acked, _ = t.acks()
	v.delivered, v.times = t.deliveries()
	return v
}

func (v *benchView) moved(last benchView) bool {
	return v.acked != last.acked || v.delivered != last.delivered || v.failed != last.failed || v.published != last.published
}

// since is the line of what came after another moment; times are those of the whole measured time.
func (v *benchView) since(last benchView) string {
	span := (v.at - last.at).Seconds()
	rate := func(now, before uint64) string { return grouped(float64(now-before)/span) + "/s" }
	line := fmt.Sprintf("%4.0f s  published %s  acked %s  delivered %s", v.at.Seconds(), rate(v.published, last.published),
		rate(v.acked, last.acked), rate(v.delivered, last.delivered))
	switch {
	case v.times.Count() > 0:
		line += fmt.Sprintf("  p50 %s  p99 %s", shortTime(v.times.Quantile(0.5)), shortTime(v.times.Quantile(0.99)))
	case v.lasting:
		line += "  (warming up)"
	}
	if v.failed > 0 {
		line += "  failed " + grouped(float64(v.failed))
	}
	return line
}

// benchTimes are in milliseconds, right to an eighth.
type benchTimes struct {
	Count  uint64  `json:"count"`
	P50Ms  float64 `json:"p50Ms"`
	P90Ms  float64 `json:"p90Ms"`
	P99Ms  float64 `json:"p99Ms"`
	P999Ms float64 `json:"p999Ms"`
	MaxMs  float64 `json:"maxMs"`

	of verify.Histogram
}

func timesOf(h verify.Histogram) benchTimes {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return benchTimes{h.Count(), ms(h.Quantile(0.5)), ms(h.Quantile(0.9)), ms(h.Quantile(0.99)), ms(h.Quantile(0.999)), ms(h.Max()), h}
}

// benchResult is what a benchmark found. Rates and times are those of the measured time, losses those of all.
type benchResult struct {
	Pairs        int        `json:"pairs,omitempty"`
	Fanout       int        `json:"fanout,omitempty"`
	QoS          int        `json:"qos"`
	Durable      bool       `json:"durable"`
	Size         int        `json:"size"`
	Rate         int        `json:"rate,omitempty"`
	Window       int        `json:"window"`
	Seconds      float64    `json:"seconds"`
	AckedRate    float64    `json:"ackedPerSecond"`
	DeliveryRate float64    `json:"deliveredPerSecond"`
	Ack          benchTimes `json:"ack"`      // from when it was due to its ack; of qos 0, until it was written
	Delivery     benchTimes `json:"delivery"` // from when it was due to the subscriber's handler
	Published    uint64     `json:"published"`
	Acked        uint64     `json:"acked"`
	Failed       uint64     `json:"failed"` // refused, or not answered
	Delivered    uint64     `json:"delivered"`
	Lost         uint64     `json:"lost"`
	Twice        uint64     `json:"twice"`
	OutOfOrder   uint64     `json:"outOfOrder"`
	Foreign      uint64     `json:"foreign"` // came, and are none of this benchmark
	Unsent       uint64     `json:"unsent"`  // were due in time and never went out: the rate is beyond what passes
	OK           bool       `json:"ok"`

	shape string
	fault error
}

func (b *benchmark) result(t *tally) *benchResult {
	acked, acks := t.acks()
	delivered, deliveries := t.deliveries()
	r := &benchResult{
		Fanout: b.fanout, QoS: b.qos, Durable: b.durable, Size: b.size, Rate: b.rate, Window: b.window, shape: b.shape(),
		Seconds: max(t.until()-t.begin, 0).Seconds(), Published: t.published.Load(), Acked: acked, Failed: t.failed.Load(),
		Delivered: delivered, Ack: timesOf(acks), Delivery: timesOf(deliveries),
	}
	if b.fanout == 0 {
		r.Pairs = b.pairs
	}
	for _, s := range t.streams {
		s.mu.Lock()
		r.Twice += s.doubled
		r.OutOfOrder += s.late
		r.Foreign += s.foreign
		s.mu.Unlock()
	}
	r.Lost, r.Unsent = t.lost(), t.unsent.Load()
	if r.Seconds > 0 {
		r.AckedRate, r.DeliveryRate = float64(r.Ack.Count)/r.Seconds, float64(r.Delivery.Count)/r.Seconds
	}
	if fault := t.fault.Load(); fault != nil {
		r.fault = *fault
	}
	// What is sent once may be lost where somebody is too slow, but nothing may come twice or out of order.
	r.OK = r.Twice == 0 && r.OutOfOrder == 0 && r.Foreign == 0 && r.Failed == 0 && (r.Lost == 0 || b.qos == 0)
	return r
}

// verdict is why it is not OK.
func (r *benchResult) verdict() string {
	why := fmt.Sprintf("lost %d, twice %d, out of order %d of %d that were acked", r.Lost, r.Twice, r.OutOfOrder, r.Acked)
	if r.Foreign > 0 {
		why += fmt.Sprintf("; %d messages that are none of this benchmark", r.Foreign)
	}
	if r.fault != nil {
		why += fmt.Sprintf("; %d publishes failed, the first: %s", r.Failed, text(r.fault))
	}
	return why
}

// writeText writes it for people.
func (r *benchResult) writeText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s; measured for %.1f s, sealed and opened by the clients\n\n", r.shape, r.Seconds)
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\tper second\tp50\tp90\tp99\tp99.9\tmax\t")
	written := "publish to ack"
	if r.QoS == 0 {
		written = "publish to written"
	}
	for _, row := range []struct {
		name string
		rate float64
		of   verify.Histogram
	}{{written, r.AckedRate, r.Ack.of}, {"publish to delivery", r.DeliveryRate, r.Delivery.of}} {
		fmt.Fprintf(t, "%s\t%s\t", row.name, grouped(row.rate))
		for _, q := range []float64{0.5, 0.9, 0.99, 0.999} {
			fmt.Fprintf(t, "%s\t", shortTime(row.of.Quantile(q)))
		}
		fmt.Fprintf(t, "%s\t\n", shortTime(row.of.Max()))
	}
	t.Flush()
	fmt.Fprintf(&b, "\nin all: %s published, %s delivered, %d lost, %d twice, %d out of order, %d failed\n",
		grouped(float64(r.Published)), grouped(float64(r.Delivered)), r.Lost, r.Twice, r.OutOfOrder, r.Failed)
	if r.Unsent > 0 {
		fmt.Fprintf(&b, "%s were due and never sent: a lower --rate or a larger --window may do\n", grouped(float64(r.Unsent)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// shortTime is a time in three digits.
func shortTime(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// grouped is a number with a comma behind each thousand.
func grouped(n float64) string {
	digits := fmt.Sprintf("%.0f", n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
