// Command bench loads a pub/sub server over websockets and prints one JSON
// line a repetition. See README.md. It refuses targets that are not loopback.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	flPeer     = flag.String("peer", "fastport", "fastport | centrifuge | mqtt0 | mqtt1 | nats | natsjs | socketio | relay")
	flLabel    = flag.String("label", "", "name in the results (default: the peer)")
	flURL      = flag.String("url", "ws://127.0.0.1:3000", "server (node A, where publishers connect)")
	flURL2     = flag.String("url2", "", "where subscribers connect, if elsewhere: a node, or some with commas between, each with as many of them")
	flRedis    = flag.String("redis", "", "a Redis between the nodes, redis://…: what it counts is told with the results")
	flPath     = flag.String("path", "/", "fastport: websocket path when -url has none")
	flScen     = flag.String("scenario", "fanout", "fanout | pairs | latency | idle | storm | big")
	flPids     = flag.String("pids", "", "server pids, comma separated; descendants are counted too")
	flReps     = flag.Int("reps", 1, "repetitions")
	flWarm     = flag.Duration("warm", 2*time.Second, "warm-up")
	flDur      = flag.Duration("dur", 5*time.Second, "measured time of a repetition")
	flSubs     = flag.Int("subs", 100, "fanout, latency: subscribers a topic")
	flPairs    = flag.Int("pairs", 100, "pairs, latency: number of topics, each with one publisher")
	flWindow   = flag.Int("window", 64, "closed loop: messages outstanding a publisher (big: chunks, 0 = as fast as TCP takes them)")
	flRate     = flag.Float64("rate", 5000, "latency: messages a second over all publishers")
	flN        = flag.Int("n", 10000, "idle: connections")
	flConc     = flag.Int("conc", 500, "storm: connections being made at once")
	flSettle   = flag.Duration("settle", 6*time.Second, "idle: wait before the second RSS reading")
	flSize     = flag.Int("size", 128, "payload bytes")
	flChunk    = flag.Int("chunk", 65536, "big: payload bytes of a chunk")
	flBytes    = flag.Int64("bytes", 1<<30, "big: bytes of the stream")
	flSrcs     = flag.Int("srcs", 4, "source addresses 127.0.0.2.. to spread connections over (0 = the system's choice)")
	flPar      = flag.Int("par", 32, "set-up connections made at once")
	flTopic    = flag.String("topic", "bt.", "topic prefix; the run, the repetition and the topic's number follow")
	flAck      = flag.Bool("ack", true, "fastport: receivers ack each delivery")
	flPubAck   = flag.Bool("puback", false, "socketio, relay: ask for an ack of each publish")
	flV2       = flag.Bool("v2", false, "fastport: speak protocol 2 (ack_received alone tells success, acks go in batches)")
	flDurable  = flag.Bool("durable", false, "fastport: subscribers are durable (each has a clientId)")
	flQoS      = flag.Int("qos", 1, "fastport: qos of a publish")
	flSession  = flag.String("session", "bench", "fastport: session name")
	flPassword = flag.String("password", "benchpass", "fastport: session password")
	flCreate   = flag.String("create", "", "fastport: HTTP base to POST /api/createSession to first, for example http://127.0.0.1:3000")
	flAdmin    = flag.String("admin", "", "fastport: admin user:password for -create (Basic auth)")
	flRetry    = flag.Int("retry-interval", 5000, "fastport: the session's retryInterval in ms for -create")
	flExpiry   = flag.Int("expiry", 3600000, "fastport: the session's messageExpiryTime in ms for -create")
	flTrace    = flag.Int("trace", 0, "print the first N received frames")
)

// Result is one repetition.
type Result struct {
	Label    string    `json:"label"`
	Scenario string    `json:"scenario"`
	Rep      int       `json:"rep"`
	Dur      float64   `json:"dur_s"`
	Pub      uint64    `json:"published"`
	Deliv    uint64    `json:"delivered"`
	Acks     uint64    `json:"acked"`
	DelivS   float64   `json:"deliv_per_s"`
	AckS     float64   `json:"acked_per_s"`
	SrvCPU   float64   `json:"srv_cpu_s"`
	CPUPerM  float64   `json:"srv_cpu_s_per_M_deliv"`
	CliCPU   float64   `json:"cli_cpu_s"`
	RSS      int64     `json:"srv_rss_kb"`
	PeakRSS  int64     `json:"srv_peak_rss_kb,omitempty"`
	P50      float64   `json:"p50_us"`
	P99      float64   `json:"p99_us"`
	P999     float64   `json:"p999_us"`
	Max      float64   `json:"max_us"`
	OwnP50   float64   `json:"generator_p50_us,omitempty"`
	OwnP99   float64   `json:"generator_p99_us,omitempty"`
	Gaps     uint64    `json:"lost"`
	Dups     uint64    `json:"dups"`
	Late     uint64    `json:"out_of_order"`
	Errs     uint64    `json:"errors"`
	Closed   int       `json:"closed"`
	Stalls   int       `json:"stalls"`
	MBs      float64   `json:"MB_per_s,omitempty"`
	RSSPer   float64   `json:"rss_bytes_per_conn,omitempty"`
	ConnS    float64   `json:"conns_per_s,omitempty"`
	CPUPerKC float64   `json:"srv_cpu_ms_per_conn,omitempty"`
	NodeCPU  []float64 `json:"node_cpu_s_per_M_of_its_deliv,omitempty"` // in the order of -pids: what a node's own subscribers cost it
	Redis    *redisUse `json:"redis,omitempty"`
	Other    float64   `json:"other_cpu_s"`
	Steal    float64   `json:"steal_s"`
	OtherSrc string    `json:"other_src"`
	Note     string    `json:"note,omitempty"`
}

func main() {
	flag.Parse()
	debug.SetGCPercent(400)
	var ad Adapter
	switch *flPeer {
	case "fastport":
		ad = newFastPort()
	case "centrifuge":
		ad = &centrifuge{}
	case "mqtt0":
		ad = &mqtt{0}
	case "mqtt1":
		ad = &mqtt{1}
	case "nats":
		ad = &nats{}
	case "natsjs":
		ad = &nats{js: true}
	case "socketio":
		ad = &sio{}
	case "relay":
		ad = &relay{}
	default:
		die("unknown peer %q", *flPeer)
	}
	if *flLabel == "" {
		*flLabel = ad.Name()
	}
	var ts []*target
	for _, u := range append([]string{*flURL}, strings.Split(*flURL2, ",")...) {
		if u == "" {
			continue
		}
		t, err := parseTarget(u)
		if err != nil {
			die("%v", err)
		}
		ts = append(ts, t)
	}
	if *flCreate != "" {
		if err := createSession(*flCreate); err != nil {
			die("%v", err)
		}
	}
	if n, ok := ad.(*nats); ok && n.js && *flScen != "idle" && *flScen != "storm" {
		if err := n.makeStream(ts[0]); err != nil {
			die("stream: %v", err)
		}
	}
	pids := parsePids(*flPids)
	prefix := *flTopic
	for rep := 1; rep <= *flReps; rep++ {
		// a repetition has its own topics: what an earlier one left unacked may be retried
		*flTopic = fmt.Sprintf("%s%sr%dx", prefix, runID, rep)
		var r Result
		var err error
		switch *flScen {
		case "fanout", "pairs", "latency":
			r, err = runPubSub(ad, ts, pids)
		case "idle":
			r, err = runIdle(ad, ts, pids)
		case "storm":
			r, err = runStorm(ad, ts, pids)
		case "big":
			r, err = runBig(ad, ts, pids)
		default:
			die("unknown scenario %q", *flScen)
		}
		if err != nil {
			die("%s %s: %v", *flLabel, *flScen, err)
		}
		r.Label, r.Rep = *flLabel, rep
		b, _ := json.Marshal(r)
		fmt.Println(string(b))
	}
}

var runID = strconv.FormatInt(time.Now().UnixNano()/1e6%1679616, 36)

func die(f string, a ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+f+"\n", a...)
	os.Exit(1)
}

func closeFD(fd int) {
	lg := syscall.Linger{Onoff: 1}
	syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &lg)
	syscall.Close(fd)
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

// connect makes the publishers and subscribers of a scenario: topics × (1 publisher + subs).
func connect(ad Adapter, ts []*target, topics, subs int) (l *Loop, pubs []*Conn, err error) {
	var all, ss []*Conn
	for t := 0; t < topics; t++ {
		for s := 0; s < subs; s++ {
			ss = append(ss, &Conn{topic: t, sub: true})
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

// runPubSub is S1, S2, S3 and S7: closed loop by a window, or open loop by a rate.
func runPubSub(ad Adapter, ts []*target, pids []int) (r Result, err error) {
	topics, subs, open := 1, *flSubs, false
	switch *flScen {
	case "pairs":
		topics, subs = *flPairs, 1
	case "latency":
		topics, open = *flPairs, true
	}
	l, pubs, err := connect(ad, ts, topics, subs)
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
	mb, ms := machine()
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
	r.PeakRSS = stop()
	r.Scenario = *flScen
	r.Dur = float64(t2-t1) / 1e9
	for _, p := range pubs {
		r.Pub += uint64(p.seq)
	}
	r.Pub -= p0
	r.Deliv, r.Acks, r.Errs = l.nDeliv-d0, l.nAck-a0, l.nErr-e0
	r.DelivS, r.AckS = float64(r.Deliv)/r.Dur, float64(r.Acks)/r.Dur
	r.SrvCPU, r.CliCPU = cpu1-cpu0, self1-self0
	r.others(mb, ms)
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

// runIdle is S4: RSS before and after -n subscribed connections.
func runIdle(ad Adapter, ts []*target, pids []int) (r Result, err error) {
	time.Sleep(time.Second)
	before := rssKB(pids)
	conns := make([]*Conn, *flN)
	for i := range conns {
		conns[i] = &Conn{sub: true, topic: i % *flPairs}
	}
	t1 := nanos()
	cpu0 := cpuSeconds(pids)
	if err = dialAll(ad, ts, conns, *flPar, *flSrcs); err != nil {
		return
	}
	t2 := nanos()
	r.CPUPerKC = (cpuSeconds(pids) - cpu0) * 1000 / float64(*flN)
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

// runStorm is S5: connect, upgrade, log in, subscribe, close, over and over, -conc at once.
func runStorm(ad Adapter, ts []*target, pids []int) (r Result, err error) {
	var n, bad atomic.Uint64
	var stop atomic.Bool
	var mu sync.Mutex
	var recording atomic.Bool
	h := newHist()
	var wg sync.WaitGroup
	var firstErr error
	for w := 0; w < *flConc; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c := &Conn{sub: true, topic: w % *flPairs}
			for i := 0; !stop.Load(); i++ {
				src := 0
				if *flSrcs > 0 {
					src = 2 + (w+i)%*flSrcs
				}
				a := nanos()
				e := dialNet(ad, ts[0], src, c)
				if e != nil {
					bad.Add(1)
					mu.Lock()
					if firstErr == nil {
						firstErr = e
					}
					mu.Unlock()
					time.Sleep(10 * time.Millisecond)
					continue
				}
				n.Add(1)
				if recording.Load() {
					mu.Lock()
					h.add(nanos() - a)
					mu.Unlock()
				}
			}
		}()
	}
	time.Sleep(*flWarm)
	recording.Store(true)
	mb, ms := machine()
	n0, cpu0, self0, t1 := n.Load(), cpuSeconds(pids), selfCPU(), nanos()
	time.Sleep(*flDur)
	n1, cpu1, self1, t2 := n.Load(), cpuSeconds(pids), selfCPU(), nanos()
	stop.Store(true)
	wg.Wait()
	r.Scenario = "storm"
	r.Dur = float64(t2-t1) / 1e9
	r.ConnS = float64(n1-n0) / r.Dur
	r.SrvCPU, r.CliCPU = cpu1-cpu0, self1-self0
	r.others(mb, ms)
	if n1 > n0 {
		r.CPUPerKC = r.SrvCPU * 1000 / float64(n1-n0)
	}
	r.P50, r.P99, r.P999, r.Max = h.q(.5), h.q(.99), h.q(.999), float64(h.max)/1000
	r.Errs = bad.Load()
	r.RSS = rssKB(pids)
	r.Note = fmt.Sprintf("conc=%d", *flConc)
	if firstErr != nil {
		r.Note += " first error: " + firstErr.Error()
	}
	return r, nil
}

// runBig is S6: a stream of binary chunks from one sender to one receiver.
func runBig(ad Adapter, ts []*target, pids []int) (r Result, err error) {
	ba, ok := ad.(BigAdapter)
	if !ok {
		return r, fmt.Errorf("no binary relay in this adapter")
	}
	l, pubs, err := connect(ad, ts, 1, 1)
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
	base := rssKB(pids)
	stop := peakSampler(pids)
	mb, ms := machine()
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
	r.PeakRSS = stop()
	r.Scenario = "big"
	r.Dur = float64(t2-t1) / 1e9
	r.Pub, r.Deliv = sent, l.bigDone
	r.MBs = float64(l.bigDone) * float64(*flChunk) / 1e6 / r.Dur
	r.SrvCPU, r.CliCPU = cpu1-cpu0, self1-self0
	r.others(mb, ms)
	r.RSS = rssKB(pids)
	r.Closed = l.closedN
	r.Note = fmt.Sprintf("chunk=%d window=%d base_rss=%dKB srv_cpu_s_per_GB=%.3f", *flChunk, *flWindow, base, r.SrvCPU/(float64(l.bigDone)*float64(*flChunk)/1e9))
	runtime.UnlockOSThread()
	return r, nil
}
