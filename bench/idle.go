package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// runIdle is S4: what a connection takes that is logged in, has one subscription and is idle. It is the difference between two
// counts of connections in one process, -base and -n: a fresh process would count for connections what it takes but once.
func runIdle(ad Adapter, ts []*target, pids []int) (r Result, err error) {
	further := *flN - *flBase
	if further < 1 {
		return r, fmt.Errorf("-n %d is not above -base %d", *flN, *flBase)
	}
	l := newLoop(ad)
	defer func() {
		l.closeAll()
		time.Sleep(500 * time.Millisecond)
	}()
	more := func(n int) error {
		for end := len(l.conns) + n; len(l.conns) < end; {
			conns := make([]*Conn, min(500, end-len(l.conns)))
			for i := range conns {
				conns[i] = &Conn{sub: true, topic: (len(l.conns) + i) % *flPairs}
			}
			if err := dialAll(ad, ts, conns, *flPar, *flSrcs); err != nil {
				return err
			}
			l.adopt(conns)
			l.poll(0) // the first are pinged while the last connect
		}
		return nil
	}
	if err := rest(l, *flSettle); err != nil {
		return r, err
	}
	r.FreshRSS = rssKB(pids)
	if err := more(*flBase); err != nil {
		return r, err
	}
	if err := rest(l, *flSettle); err != nil {
		return r, err
	}
	before := rssKB(pids)

	spent := machine()
	cpu0, own, t1 := cpuSeconds(pids), selfCPU(), nanos()
	if err := more(further); err != nil {
		return r, err
	}
	t2 := nanos()
	r.SrvCPU, r.CliCPU = cpuSeconds(pids)-cpu0, selfCPU()-own
	r.others(spent)
	r.CPUPerKC = r.SrvCPU * 1000 / float64(further)
	first := rssKB(pids)
	if err := rest(l, *flSettle); err != nil {
		return r, err
	}
	after := rssKB(pids)
	r.Scenario = "idle"
	r.Dur = float64(t2-t1) / 1e9
	r.RSS, r.PeakRSS = after, max(first, after)
	r.RSSPer, r.RSSFirst = float64(after-before)*1024/float64(further), float64(first-before)*1024/float64(further)
	r.Closed = l.closedN
	r.Note = fmt.Sprintf("n=%d at_base_%d=%dKB at_connect=%dKB topics=%d", *flN, *flBase, before, first, *flPairs)
	return r, nil
}

// rest leaves the servers alone for a time, after a collection where -collect asks for it: two, as pools outlive one.
func rest(l *Loop, d time.Duration) error {
	for _, url := range strings.Split(*flCollect, ",") {
		for i := 0; i < 2 && url != ""; i++ {
			if err := fetch(url); err != nil {
				return fmt.Errorf("collect: %w", err)
			}
		}
	}
	for end := nanos() + int64(d); nanos() < end; {
		l.poll(100 * time.Millisecond)
	}
	return nil
}

func fetch(url string) error {
	if !strings.HasPrefix(url, "http://127.") {
		return fmt.Errorf("%s: only loopback targets are allowed", url)
	}
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	return nil
}
