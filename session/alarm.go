package session

import (
	"container/heap"
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// ringer is called when its alarm is due, by the node's clock. It must not block.
type ringer interface{ ring(now int64) }

// alarm is a place in the node's one timer. Its owner guards nothing of it.
type alarm struct {
	who ringer
	at  atomic.Int64 // 0: not set
	pos int          // in the heap, from 1; 0: not set
}

// alarms is one timer for everything that comes due: connections with something out, topics with an open gap.
type alarms struct {
	wake chan struct{}

	mu   sync.Mutex // guards the following, and each alarm, whose at is read without it
	heap alarmHeap
}

// set makes a ring at a time, or earlier if it was set so. The owner holds the lock that its ring takes: so where a is
// just being rung, the ring sees what it was set for.
func (l *alarms) set(a *alarm, at int64) {
	if was := a.at.Load(); was != 0 && was <= at {
		return // as nearly always: one message behind another
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case a.pos == 0:
		a.at.Store(at)
		heap.Push(&l.heap, a)
	case at < a.at.Load():
		a.at.Store(at)
		heap.Fix(&l.heap, a.pos-1)
	default:
		return
	}
	if l.heap[0] == a {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// drop takes an alarm out. It may ring once more.
func (l *alarms) drop(a *alarm) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.pos != 0 {
		heap.Remove(&l.heap, a.pos-1)
	}
}

// due takes out what is due, at most a few at once, or tells how long until the next is.
func (l *alarms) due(now int64, list []*alarm) ([]*alarm, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.heap) > 0 && len(list) < cap(list) {
		if at := l.heap[0].at.Load(); at > now {
			return list, time.Duration(at - now)
		}
		list = append(list, heap.Pop(&l.heap).(*alarm))
	}
	if len(list) > 0 {
		return list, 0
	}
	return list, time.Hour
}

// run rings until ctx is done.
func (l *alarms) run(ctx context.Context, clock func() int64) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	list := make([]*alarm, 0, 256)
	for {
		now := clock()
		due, rest := l.due(now, list[:0])
		for i, a := range due {
			a.who.ring(now)
			due[i] = nil
		}
		timer.Reset(rest)
		select {
		case <-timer.C:
		case <-l.wake:
		case <-ctx.Done():
			return
		}
	}
}

type alarmHeap []*alarm

func (h alarmHeap) Len() int           { return len(h) }
func (h alarmHeap) Less(i, j int) bool { return h[i].at.Load() < h[j].at.Load() }
func (h alarmHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i+1, j+1
}

func (h *alarmHeap) Push(x any) {
	a := x.(*alarm)
	*h = append(*h, a)
	a.pos = len(*h)
}

func (h *alarmHeap) Pop() any {
	old := *h
	a := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	a.pos = 0
	a.at.Store(0)
	return a
}
