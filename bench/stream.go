package main

import (
	"fmt"
	"runtime"
	"time"
)

// runBig is S6: a stream of binary chunks from one sender to one receiver.
func runBig(ad Adapter, ts []*target, pids []int) (r Result, err error) {
	ba, ok := ad.(BigAdapter)
	if !ok {
		return r, fmt.Errorf("no binary relay in this adapter")
	}
	l, pubs, err := connect(ad, ts, 1, 1, 1)
	if err != nil {
		return r, err
	}
	defer l.closeAll()
	lockThread()
	p := pubs[0]
	payload := make([]byte, *flChunk)
	for i := range payload {
		payload[i] = byte(i * 31)
	}
	total := uint64(*flBytes) / uint64(*flChunk)
	// a chunk's frame is built once and copied: only its index would differ, and peers do not read it
	if err := rest(l, *flSettle); err != nil { // so that nothing of what log-ins took is grown into unseen
		return r, err
	}
	base := rssKB(pids)
	stop := peakSampler(pids)
	spent := machine()
	cpu0, self0, t1 := cpuSeconds(pids), selfCPU(), nanos()
	ba.BigStart(p)
	l.mark(p)
	l.flush()
	var sent uint64
	save := p.out
	p.out = nil
	ba.Chunk(p, 0, payload)
	tmpl := p.out
	p.out = save
	last, lastN := nanos(), uint64(0)
	for l.bigDone < total && l.closedN == 0 {
		for sent < total && (*flWindow == 0 || sent < l.bigDone+uint64(*flWindow)) && len(p.out) < len(tmpl) {
			p.out = append(p.out, tmpl...)
			if *flPeer == "fastport" {
				indexChunk(p.out[len(p.out)-*flChunk-4:], 37, uint32(sent))
			}
			sent++
			l.flushOne(p)
			if *flWindow == 0 && len(p.out) > 0 {
				break
			}
		}
		l.poll(20 * time.Millisecond)
		if now := nanos(); l.bigDone != lastN {
			last, lastN = now, l.bigDone
		} else if now-last > 20e9 {
			return r, fmt.Errorf("stalled at chunk %d of %d (sent %d)", l.bigDone, total, sent)
		}
	}
	ba.BigEnd(p)
	l.mark(p)
	l.flush()
	cpu1, self1, t2 := cpuSeconds(pids), selfCPU(), nanos()
	peak := stop()
	r.PeakRSS, r.Growth = peak.all, peak.growth
	r.Scenario = "big"
	r.Dur = float64(t2-t1) / 1e9
	r.Pub, r.Deliv = sent, l.bigDone
	r.MBs = float64(l.bigDone) * float64(*flChunk) / 1e6 / r.Dur
	r.SrvCPU, r.CliCPU = cpu1-cpu0, self1-self0
	r.others(spent)
	r.RSS = rssKB(pids)
	r.Closed = l.closedN
	r.Note = fmt.Sprintf("chunk=%d window=%d base_rss=%dKB srv_cpu_s_per_GB=%.3f", *flChunk, *flWindow, base, r.SrvCPU/(float64(l.bigDone)*float64(*flChunk)/1e9))
	runtime.UnlockOSThread()
	return r, nil
}
