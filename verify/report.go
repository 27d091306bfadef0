package verify

import (
	"time"
)

// Report is what a run found.
type Report struct {
	OK       bool          `json:"ok"` // no promise was broken
	Seed     uint64        `json:"seed"`
	Nodes    int           `json:"nodes"`
	Duration time.Duration `json:"durationNs"`
	Rate     int           `json:"rate"`
	Topics   int           `json:"topics"`
	Durable  int           `json:"durableSubscribers"`

	Published uint64 `json:"published"`
	Acked     uint64 `json:"acked"`
	Failed    uint64 `json:"failed"`
	Held      int64  `json:"heldBack"`  // not sent at all, since the queue was full
	Delivered uint64 `json:"delivered"` // handed over, to each subscriber once
	Repeats   uint64 `json:"repeats"`   // seen on sockets, and flagged as promised

	Once Once `json:"qos0"`

	Breaches map[Breach]int `json:"breaches"`
	Evidence []Finding      `json:"evidence"` // the first of each kind

	Ack            Latency       `json:"publishToAck"` // without faults
	Delivery       Latency       `json:"publishToDelivery"`
	FaultyAck      Latency       `json:"publishToAckWithFaults"`
	FaultyDelivery Latency       `json:"publishToDeliveryWithFaults"`
	Aside          Latency       `json:"publishToDeliveryBesideStuckReaders"`
	Faults         []Happened    `json:"faults"`
	WorstRecovery  time.Duration `json:"worstRecoveryNs"`
	Outages        []Outage      `json:"outages,omitempty"` // where faults are made by hand
}

// Once counts messages of qos 0, which are in none of the other figures.
type Once struct {
	Published uint64 `json:"published"`
	Acked     uint64 `json:"acked"`
	Delivered uint64 `json:"delivered"`
}

// Latency sums up one of the times.
type Latency struct {
	Count uint64        `json:"count"`
	P50   time.Duration `json:"p50Ns"`
	P99   time.Duration `json:"p99Ns"`
	Max   time.Duration `json:"maxNs"`
}

func latency(h *Histogram) Latency {
	return Latency{h.Count(), h.Quantile(0.50), h.Quantile(0.99), h.Max()}
}

// report sums the run up.
func (r *run) report(took time.Duration) *Report {
	out := &Report{
		Seed: r.l.o.Seed, Nodes: len(r.l.o.URLs), Duration: took,
		Rate: r.l.o.Rate, Topics: r.l.o.Topics, Durable: r.l.o.Subscribers, Held: r.held,
	}
	r.l.check.fill(out)
	if r.stage != nil {
		out.Faults = r.stage.happened
	}
	for _, h := range out.Faults {
		out.WorstRecovery = max(out.WorstRecovery, h.Recovery)
	}
	if r.o.ExpectFaults {
		out.Outages = r.prober.outages(r.from, r.from+took)
	}
	return out
}

// fill puts in what the Checker knows.
func (c *Checker) fill(out *Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out.Published, out.Acked, out.Failed, out.Delivered, out.Repeats = c.published, c.acked, c.failed, c.delivered, c.repeats
	out.Once = c.once
	out.Breaches, out.Evidence = make(map[Breach]int), c.found.list
	for _, b := range Breaches {
		out.Breaches[b] = c.found.counts[b]
	}
	out.OK = len(c.found.list) == 0
	out.Ack, out.FaultyAck = latency(&c.ackTimes[0]), latency(&c.ackTimes[1])
	out.Aside = latency(&c.asideTimes)
	out.Delivery, out.FaultyDelivery = latency(&c.deliveryTimes[0]), latency(&c.deliveryTimes[1])
}

// progress is where the Checker is.
func (c *Checker) progress() Progress {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := Progress{Published: c.published, Acked: c.acked, Delivered: c.delivered, Owed: c.outstanding}
	for _, n := range c.found.counts {
		p.Breaches += n
	}
	return p
}
