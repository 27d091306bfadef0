package main

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestHist_QuantilesAreThoseOfTheSamples(t *testing.T) {
	h := newHist()
	for us := range int64(1000) {
		h.add(us * 1000)
	}
	for p, want := range map[float64]float64{.5: 500, .99: 990, .999: 999} {
		if got := h.q(p); got != want {
			t.Errorf("q(%v) = %v us, want %v", p, got, want)
		}
	}
	h.add(int64(90 * time.Second)) // beyond what it holds by milliseconds
	if got := h.q(1); got < 59e6 || h.max != int64(90*time.Second) {
		t.Errorf("the longest reads %v us, max %d", got, h.max)
	}
	h.reset()
	if h.q(.5) != 0 {
		t.Error("a reset histogram has samples")
	}
}

func TestCPU_OfThisProcessIsWhatItSpends(t *testing.T) {
	pids := []int{os.Getpid()}
	before, own := cpuSeconds(pids), selfCPU()
	for selfCPU()-own < 0.3 {
	}
	if got := cpuSeconds(pids) - before; got < 0.25 || got > 3 {
		t.Errorf("0.3 s of work reads %v s", got)
	}
}

func TestCPU_OfAChildThatEndedIsStillItsParents(t *testing.T) {
	pids := []int{os.Getpid()}
	before := cpuSeconds(pids)
	if err := exec.Command("sh", "-c", "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done").Run(); err != nil {
		t.Fatal(err)
	}
	if got := cpuSeconds(pids) - before; got < 0.05 {
		t.Errorf("the work of a child that ended reads %v s", got)
	}
}

func TestOthers_LeavesOutServerGeneratorAndStores(t *testing.T) {
	r := Result{SrvCPU: 1, CliCPU: 2}
	now := machine()
	r.others(usage{busy: now.busy - 3.5, steal: now.steal, stores: now.stores})
	if r.Other < 0.4 || r.Other > 2 {
		t.Errorf("others used %v s, want 0.5 and what ran meanwhile", r.Other)
	}
}
