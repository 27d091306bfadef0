package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/debug"
	"strings"
	"testing"
)

func TestFetch_RefusesWhatIsNotLoopbackAndTellsFailures(t *testing.T) {
	if err := fetch("http://192.0.2.1/"); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("another machine's: %v", err)
	}
	code := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }))
	defer srv.Close()
	if err := fetch(srv.URL); err != nil {
		t.Errorf("a collection: %v", err)
	}
	if code = http.StatusNotFound; fetch(srv.URL) == nil {
		t.Error("a server that knows no collection is believed")
	}
}

func TestIdle_TakesMoreConnectionsThanItsBase(t *testing.T) {
	defer func(n int) { *flN = n }(*flN)
	*flN = *flBase
	if _, err := runIdle(nil, nil, nil); err == nil {
		t.Error("a difference of no connections was measured")
	}
}

func TestPeak_TellsTheGrowthOfWhatGrewMost(t *testing.T) {
	const mib = 64
	debug.FreeOSMemory() // what other tests held would be grown into unseen
	stop := peakSampler([]int{os.Getpid(), os.Getppid()})
	held := make([]byte, mib<<20)
	for i := range held {
		held[i] = 1
	}
	got := stop()
	if held[len(held)/2] != 1 || got.growth < mib*1000/2 || got.growth > 4*mib*1024 || got.all < got.growth {
		t.Errorf("%d MiB more read as %+v KB", mib, got)
	}
}
