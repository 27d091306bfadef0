package client

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// errorLog collects what OnError is told.
type errorLog struct {
	mu   sync.Mutex
	errs []error
	more chan struct{}
}

func newErrorLog() *errorLog { return &errorLog{more: make(chan struct{}, 1000)} }

func (l *errorLog) add(err error) {
	l.mu.Lock()
	l.errs = append(l.errs, err)
	l.mu.Unlock()
	l.more <- struct{}{}
}

// wait waits until an error came for which is is true.
func (l *errorLog) wait(t *testing.T, is func(error) bool) {
	t.Helper()
	for {
		l.mu.Lock()
		found, all := slices.ContainsFunc(l.errs, is), fmt.Sprint(l.errs)
		l.mu.Unlock()
		if found {
			return
		}
		select {
		case <-l.more:
		case <-time.After(patience):
			t.Fatalf("OnError was told %s, and not what it should be", all)
		}
	}
}
