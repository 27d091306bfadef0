package main

import (
	"fmt"
	"runtime"
	"time"
)

// connect makes the publishers and subscribers of a scenario: topics × (1 publisher + subs), where
// each stands for per topics.
func connect(ad Adapter, ts []*target, topics, subs, per int) (l *Loop, pubs []*Conn, err error) {
	var all, ss []*Conn
	for t := 0; t < topics; t++ {
		for s := 0; s < subs; s++ {
			ss = append(ss, &Conn{topic: t, sub: true, extra: per - 1})
		}
	}
	for t := 0; t < topics; t++ {
		pubs = append(pubs, &Conn{topic: t})
	}
	all = append(append(all, ss...), pubs...)
	if err = dialAll(ad, ts, all, *flPar, *flSrcs); err != nil {
		return
	}
	l = newLoop(ad)
	l.trace = *flTrace
	l.now = nanos()
	l.adopt(all)
	for i, s := range ss {
		s.peer = pubs[i/subs]
	}
	return
}

func hasAck() bool {
	switch *flPeer {
	case "fastport", "centrifuge", "mqtt1", "natsjs":
		return true
	case "socketio", "relay":
		return *flPubAck
	}
	return false
}

// runPubSub is S1, S2, S3 and S7: closed loop by a window, or open loop by a rate.
func runPubSub(ad Adapter, ts []*target, pids []int) (r Result, err error) {
	topics, subs, open := 1, *flSubs, false
	switch *flScen {
	case "pairs":
		topics, subs = *flPairs, 1
	case "latency":
		topics, open = *flPairs, true
	}
	per := max(1, *flTopics/topics) // topics of a pair
	l, pubs, err := connect(ad, ts, topics, subs, per)
	if err != nil {
		return r, err
	}
	defer l.closeAll()
	runtime.GC()
	lockThread()
	payload := newPayload(*flSize)
	needAck := hasAck()
	for _, c := range l.conns {
		c.next = 1
	}
	publish := func(c *Conn, t int64) {
		c.seq++
		if per > 1 {
			defer func(first int) { c.topic = first }(c.topic)
			c.topic += int(c.seq) % per * topics
		}
		stamp(payload, t, c.seq)
		ad.Publish(c, payload)
		l.mark(c)
	}
	// what is outstanding on a topic, in messages
	done := make([]uint64, topics) // deliveries on the topic
	hot := make([]int, 0, topics)
	isHot := make([]bool, topics)
	heat := func(t int) {
		if !isHot[t] {
			isHot[t] = true
			hot = append(hot, t)
		}
	}
	l.onDeliver = func(c *Conn) { done[c.topic]++; heat(c.topic) }
	l.onAck = func(c *Conn) { heat(c.topic) }
	usub := uint64(subs)
	lost := make([]uint64, topics) // written off by the stall watchdog
	topUp := func(t int) {
		p := pubs[t]
		if p.closed {
			return
		}
		d := done[t]/usub + lost[t]
		if needAck && p.acked+lost[t] < d {
			d = p.acked + lost[t]
		}
		for uint64(p.seq) < d+uint64(*flWindow) {
			publish(p, nanos())
		}
	}
	var stalls int
	own := newHist()
	step := func(end int64) {
		if !open {
			for t := range pubs {
				topUp(t)
			}
			l.flush()
			lastProg, lastN := nanos(), l.nDeliv+l.nAck
			for {
				now := nanos()
				if now >= end {
					return
				}
				l.poll(50 * time.Millisecond)
				for _, t := range hot {
					isHot[t] = false
					topUp(t)
				}
				hot = hot[:0]
				l.flush()
				if n := l.nDeliv + l.nAck; n != lastN {
					lastN, lastProg = n, now
				} else if now-lastProg > 3e9 {
					stalls++
					lastProg = now
					for t := range pubs {
						lost[t] += uint64(pubs[t].seq) - (done[t]/usub + lost[t])
						topUp(t)
					}
					l.flush()
				}
			}
		}
		gap := int64(1e9 / *flRate)
		next := nanos()
		i := 0
		for {
			now := nanos()
			if now >= end {
				return
			}
			for next <= now {
				publish(pubs[i%topics], next) // stamped with the time it was due
				own.add(now - next)           // what the generator itself was late
				i++
				next += gap
			}
			l.flush()
			l.poll(time.Duration(next - nanos()))
			hot = hot[:0]
			clear(isHot)
		}
	}
	l.record = false
	step(nanos() + int64(*flWarm))
	l.record = true
	l.hist.reset()
	own.reset()
	d0, a0, e0 := l.nDeliv, l.nAck, l.nErr
	var p0 uint64
	for _, p := range pubs {
		p0 += uint64(p.seq)
	}
	stop := peakSampler(pids)
	spent := machine()
	redis0, err := countRedis()
	if err != nil {
		return r, err
	}
	each := cpuEach(pids)
	cpu0, self0, t1 := cpuSeconds(pids), selfCPU(), nanos()
	step(t1 + int64(*flDur))
	cpu1, self1, t2 := cpuSeconds(pids), selfCPU(), nanos()
	each = less(cpuEach(pids), each)
	redis1, err := countRedis()
	if err != nil {
		return r, err
	}
	r.PeakRSS = stop().all
	r.Scenario = *flScen
	r.Dur = float64(t2-t1) / 1e9
	for _, p := range pubs {
		r.Pub += uint64(p.seq)
	}
	r.Pub -= p0
	r.Deliv, r.Acks, r.Errs = l.nDeliv-d0, l.nAck-a0, l.nErr-e0
	r.DelivS, r.AckS = float64(r.Deliv)/r.Dur, float64(r.Acks)/r.Dur
	r.SrvCPU, r.CliCPU = cpu1-cpu0, self1-self0
	r.others(spent)
	if r.Deliv > 0 {
		r.CPUPerM = r.SrvCPU / float64(r.Deliv) * 1e6
	}
	if len(pids) == len(ts)-1 {
		for _, s := range each {
			r.NodeCPU = append(r.NodeCPU, s/(float64(r.Deliv)/float64(len(ts)-1))*1e6)
		}
	}
	r.Redis = redis1.since(redis0, r.Pub)
	r.RSS = rssKB(pids)
	r.P50, r.P99, r.P999, r.Max = l.hist.q(.5), l.hist.q(.99), l.hist.q(.999), float64(l.hist.max)/1000
	r.OwnP50, r.OwnP99 = own.q(.5), own.q(.99)
	r.Gaps, r.Dups, r.Late, r.Closed, r.Stalls = l.gaps, l.dups, l.late, l.closedN, stalls
	switch *flScen {
	case "fanout":
		r.Note = fmt.Sprintf("subs=%d window=%d", subs, *flWindow)
	case "pairs":
		r.Note = fmt.Sprintf("pairs=%d window=%d", topics, *flWindow)
	default:
		r.Note = fmt.Sprintf("pairs=%d subs=%d rate=%.0f", topics, subs, *flRate)
	}
	runtime.UnlockOSThread()
	return r, nil
}
