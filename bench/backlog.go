package main

import (
	"fmt"
	"time"
)

// runBacklog stores -n messages for a durable subscriber who is away, and has it come back: how long the first takes,
// and at which rate the rest follows.
func runBacklog(ad Adapter, ts []*target, pids []int) (r Result, err error) {
	if _, ok := ad.(*fastPort); !ok || !*flDurable {
		return r, fmt.Errorf("backlog is for fastport with -durable")
	}
	away := &Conn{sub: true}
	if err := dialFD(ad, ts[0], 0, away); err != nil {
		return r, err
	}
	closeFD(away.fd)
	total := uint64(*flN)
	if err := store(ad, ts[0], total); err != nil {
		return r, err
	}
	time.Sleep(500 * time.Millisecond) // what was held back for company is on its way by then

	back := &Conn{sub: true, device: away.device, next: 1}
	stop := peakSampler(pids)
	spent, cpu0, self0, t1 := machine(), cpuSeconds(pids), selfCPU(), nanos()
	if err := dialFD(ad, ts[len(ts)-1], 0, back); err != nil {
		return r, err
	}
	l := newLoop(ad)
	l.adopt([]*Conn{back})
	defer l.closeAll()
	l.record = false
	first, progress, seen := int64(0), t1, uint64(0)
	for l.nDeliv < total && l.closedN == 0 {
		l.poll(20 * time.Millisecond)
		if l.nDeliv != seen {
			seen, progress = l.nDeliv, nanos()
			if first == 0 {
				first = progress
			}
		} else if nanos()-progress > 30e9 {
			return r, fmt.Errorf("stalled at message %d of %d", seen, total)
		}
	}
	t2 := nanos()
	r.PeakRSS = stop().all
	r.Scenario, r.Dur = "backlog", float64(t2-t1)/1e9
	r.SrvCPU, r.CliCPU = cpuSeconds(pids)-cpu0, selfCPU()-self0
	r.others(spent)
	r.Deliv, r.DelivS = l.nDeliv, float64(l.nDeliv)/(float64(t2-first)/1e9)
	r.First = float64(first-t1) / 1e6
	r.CPUPerM = r.SrvCPU / float64(r.Deliv) * 1e6
	r.RSS, r.Gaps, r.Dups, r.Late, r.Errs, r.Closed = rssKB(pids), l.gaps, l.dups, l.late, l.nErr, l.closedN
	r.Note = fmt.Sprintf("stored=%d", total)
	return r, nil
}

// store publishes so many messages on the first topic and returns when all are acked.
func store(ad Adapter, t *target, total uint64) error {
	p := &Conn{}
	if err := dialFD(ad, t, 0, p); err != nil {
		return err
	}
	l := newLoop(ad)
	l.adopt([]*Conn{p})
	defer l.closeAll()
	payload := newPayload(*flSize)
	const window = 2000
	for p.acked < total {
		for uint64(p.seq) < min(total, p.acked+window) {
			p.seq++
			stamp(payload, nanos(), p.seq)
			ad.Publish(p, payload)
			l.mark(p)
		}
		l.flush()
		l.poll(20 * time.Millisecond)
		if l.closedN+int(l.nErr) > 0 {
			return fmt.Errorf("publish %d of %d failed", p.acked, total)
		}
	}
	return nil
}
