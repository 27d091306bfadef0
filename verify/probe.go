package verify

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fastport/fastport/protocol"
)

const (
	probeEvery = 100 * time.Millisecond
	// healthy is how soon a probe must be acked and everywhere for the way through a node to count as open.
	healthy = 2 * time.Second
	// steady is how many probes in a row must be healthy for a way to have recovered.
	steady = 5
)

// prober sends a small message through every node at every moment, to a subscriber at every node, and so knows when the
// cluster serves and when it does not. It has sockets of its own, each at one node and at no other.
type prober struct {
	l    *load
	ways []*way
	ears []*ear

	mu    sync.Mutex // guards the following
	out   map[string]*probe
	alive []bool // by node; what is through or to another is not waited for
}

// way is publishing through one node.
type way struct {
	node int
	peer *probeConn

	// Guarded by the prober's mu.
	recent []result // of the last probes
}

// probe is one message on its way.
type probe struct {
	way     *way
	sent    time.Duration
	acked   bool
	missing map[int]bool // ears that have not got it
}

// result is what became of a probe.
type result struct {
	sent, done time.Duration
	ok         bool
}

// maxResults is how many probes of a node are remembered: five minutes' worth.
const maxResults = int(5 * time.Minute / probeEvery)

// ear is a durable subscriber at one node.
type ear struct {
	node int
	peer *probeConn
}

func newProber(l *load) *prober {
	p := &prober{l: l, out: make(map[string]*probe), alive: make([]bool, len(l.o.URLs))}
	t := l.tenants[probeSession]
	for i, url := range l.o.URLs {
		p.alive[i] = true
		w := &way{node: i}
		o := login{session: t.name, password: t.password, version: 2, tls: l.o.TLS}
		w.peer = &probeConn{l: l, url: url, login: o, frame: func(f *protocol.ServerFrame) {
			if f.Type == protocol.TypeAckReceived {
				p.acked(string(f.MessageID))
			}
		}}
		p.ways = append(p.ways, w)
		e := &ear{node: i}
		o.clientID = fmt.Sprintf("ear-%d", i)
		e.peer = &probeConn{l: l, url: url, login: o, topic: "probe", frame: func(f *protocol.ServerFrame) {
			if f.Type == protocol.TypeMessage {
				p.heard(string(f.MessageID), e)
			}
		}}
		p.ears = append(p.ears, e)
	}
	return p
}

// run probes until ctx ends.
func (p *prober) run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, w := range p.ways {
		wg.Go(func() { w.peer.run(ctx) })
	}
	for _, e := range p.ears {
		wg.Go(func() { e.peer.run(ctx) })
	}
	t := time.NewTicker(probeEvery)
	defer t.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		p.expire()
		for _, w := range p.ways {
			p.send(w, fmt.Sprintf("probe.%d.%d", w.node, n))
		}
	}
}

// send sends a probe through a node. Where it cannot even be sent, it has failed.
func (p *prober) send(w *way, id string) {
	now := p.l.now()
	p.mu.Lock()
	if !p.alive[w.node] {
		p.mu.Unlock()
		return
	}
	b := &probe{way: w, sent: now, missing: make(map[int]bool)}
	for _, e := range p.ears {
		if p.alive[e.node] {
			b.missing[e.node] = true
		}
	}
	p.out[id] = b
	p.mu.Unlock()
	f := protocol.ClientFrame{Type: protocol.TypePublish, Topic: []byte("probe"), MessageID: []byte(id), Data: []byte("probe"), HasData: true, QoS: 1}
	if w.peer.send(&f) != nil {
		p.mu.Lock()
		p.settle(id, b, now, false)
		p.mu.Unlock()
	}
}

func (p *prober) acked(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.out[id]; b != nil {
		b.acked = true
		p.look(id, b)
	}
}

func (p *prober) heard(id string, e *ear) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.out[id]; b != nil {
		delete(b.missing, e.node)
		p.look(id, b)
	}
}

// look settles a probe that has arrived everywhere; the caller holds mu, as with the next.
func (p *prober) look(id string, b *probe) {
	if b.acked && len(b.missing) == 0 {
		now := p.l.now()
		p.settle(id, b, now, now-b.sent <= healthy)
	}
}

func (p *prober) settle(id string, b *probe, at time.Duration, ok bool) {
	delete(p.out, id)
	w := b.way
	w.recent = append(w.recent, result{b.sent, at, ok})
	if len(w.recent) >= 2*maxResults {
		w.recent = append(w.recent[:0], w.recent[maxResults:]...)
	}
}

// expire settles the probes that are too late.
func (p *prober) expire() {
	now := p.l.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, b := range p.out {
		if now-b.sent > healthy {
			p.settle(id, b, now, false)
		}
	}
}

// live says which nodes are there. Probes on their way do not wait for one that is not.
func (p *prober) live(node int, is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.alive[node] = is
	if is {
		return
	}
	for id, b := range p.out {
		if delete(b.missing, node); b.way.node == node {
			delete(p.out, id)
			continue
		}
		p.look(id, b)
	}
}

// recovered is when, after from, the ways through all living nodes were open again for good: the end of the first of
// the healthy probes behind the last that was not. False: not yet.
func (p *prober) recovered(from time.Duration) (at time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.ways {
		if !p.alive[w.node] {
			continue
		}
		good, first := 0, time.Duration(0)
		for _, r := range w.recent {
			switch {
			case r.sent < from:
			case !r.ok:
				good = 0
			default:
				if good == 0 || r.done < first {
					first = r.done
				}
				good++
			}
		}
		if good < steady {
			return 0, false
		}
		at = max(at, first)
	}
	return at, true
}

// Outage is a time in which probes through one node did not arrive everywhere.
type Outage struct {
	Through string        `json:"through"`
	From    time.Duration `json:"fromNs"`
	To      time.Duration `json:"toNs"`
}

// outages are those between two times, as far as results are remembered.
func (p *prober) outages(from, to time.Duration) (list []Outage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.ways {
		var open *Outage
		for _, r := range w.recent {
			switch {
			case r.sent < from || r.sent > to:
			case !r.ok && open == nil:
				open = &Outage{p.l.o.URLs[w.node], r.sent, r.done}
			case !r.ok:
				open.To = r.done
			case open != nil && r.sent > open.To:
				list, open = append(list, *open), nil
			}
		}
		if open != nil {
			list = append(list, *open)
		}
	}
	return list
}
