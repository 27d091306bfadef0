package admin

import (
	"sync"
	"time"

	"github.com/fastport/fastport/metrics"
	"github.com/fastport/fastport/session"
)

// beats is how many heartbeats a Pulse looks back over: 15 s of them.
const beats = 5

// Pulse turns what a node has counted since its start into how it does now. The zero value is ready.
type Pulse struct {
	mu   sync.Mutex // guards the following
	past []beat     // the oldest first, at most beats of them
	now  beat
}

type beat struct {
	at                    time.Time
	publishes, deliveries int64
	acks, delays          metrics.Histogram
	cpu                   time.Duration
}

// Beat takes a snapshot in, once a heartbeat.
func (p *Pulse) Beat(at time.Time, s session.Stats) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.now.at.IsZero() {
		p.past = append(p.past, p.now)
	}
	if len(p.past) > beats {
		p.past = p.past[1:]
	}
	p.now = beat{at, s.Publishes, s.Deliveries + s.Redeliveries, s.AckTime, s.DeliveryTime, cpuTime()}
}

// Fill writes the rates and quantiles of the beats before the last one into f; before the second beat there are none.
func (p *Pulse) Fill(f *Figures) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.past) == 0 {
		return
	}
	first := p.past[0]
	seconds := p.now.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return
	}
	f.Publishes = float64(p.now.publishes-first.publishes) / seconds
	f.Deliveries = float64(p.now.deliveries-first.deliveries) / seconds
	acks := p.now.acks.Since(first.acks)
	f.AckP50, f.AckP99 = 1000*acks.Quantile(0.5), 1000*acks.Quantile(0.99)
	delays := p.now.delays.Since(first.delays)
	f.DeliveryP50, f.DeliveryP99 = 1000*delays.Quantile(0.5), 1000*delays.Quantile(0.99)
	f.CPU = (p.now.cpu - first.cpu).Seconds() / seconds
}
