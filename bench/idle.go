package main

import (
	"fmt"
	"time"
)

// runIdle is S4: RSS before and after -n subscribed connections.
func runIdle(ad Adapter, ts []*target, pids []int) (r Result, err error) {
	time.Sleep(time.Second)
	before := rssKB(pids)
	conns := make([]*Conn, *flN)
	for i := range conns {
		conns[i] = &Conn{sub: true, topic: i % *flPairs}
	}
	spent := machine()
	t1 := nanos()
	cpu0, own := cpuSeconds(pids), selfCPU()
	if err = dialAll(ad, ts, conns, *flPar, *flSrcs); err != nil {
		return
	}
	t2 := nanos()
	r.SrvCPU, r.CliCPU = cpuSeconds(pids)-cpu0, selfCPU()-own
	r.others(spent)
	r.CPUPerKC = r.SrvCPU * 1000 / float64(*flN)
	l := newLoop(ad)
	l.adopt(conns)
	first := rssKB(pids)
	for end := nanos() + int64(*flSettle); nanos() < end; {
		l.poll(100 * time.Millisecond)
	}
	after := rssKB(pids)
	r.Scenario = "idle"
	r.Dur = float64(t2-t1) / 1e9
	r.RSS, r.PeakRSS = after, max(first, after)
	r.RSSPer = float64(after-before) * 1024 / float64(*flN)
	r.Closed = l.closedN
	r.Note = fmt.Sprintf("n=%d before=%dKB at_connect=%dKB topics=%d", *flN, before, first, *flPairs)
	l.closeAll()
	time.Sleep(500 * time.Millisecond)
	return
}
