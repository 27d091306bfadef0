package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

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
	spent := machine()
	n0, cpu0, self0, t1 := n.Load(), cpuSeconds(pids), selfCPU(), nanos()
	time.Sleep(*flDur)
	n1, cpu1, self1, t2 := n.Load(), cpuSeconds(pids), selfCPU(), nanos()
	stop.Store(true)
	wg.Wait()
	r.Scenario = "storm"
	r.Dur = float64(t2-t1) / 1e9
	r.ConnS = float64(n1-n0) / r.Dur
	r.SrvCPU, r.CliCPU = cpu1-cpu0, self1-self0
	r.others(spent)
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

// dialNet is the storm's way: a Go net connection, so that 500 can wait at once.
func dialNet(ad Adapter, t *target, src int, c *Conn) error {
	d := net.Dialer{Timeout: 20 * time.Second}
	if src > 0 {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(src))}
		d.Control = func(_, _ string, rc syscall.RawConn) error {
			return rc.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_IP, 24, 1) })
		}
	}
	nc, err := d.DialContext(context.Background(), "tcp4", t.u.Host)
	if err != nil {
		return err
	}
	defer nc.Close()
	nc.(*net.TCPConn).SetLinger(0)
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	pre, err := upgrade(ad, t, nc)
	if err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	r := &preReader{pre, nc}
	if err := ad.Setup(c, rw{r, nc}); err != nil {
		return fmt.Errorf("setup: %w", err)
	}
	return nil
}
