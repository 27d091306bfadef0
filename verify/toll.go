package verify

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// toll is what silent clients cost a broker.
type toll struct {
	open, of int // sockets that it has not closed, and all

	weighed          bool
	floor            time.Duration // see slowFloor
	grown, bound     int64         // bytes of memory of the node that grew most, and what their queues may hold
	usual, meanwhile Latency       // from publish to delivery, of others
}

const (
	// slowerBy is by how much others may be slower meanwhile; below slowFloor it is the machine's own noise.
	slowerBy  = 2
	slowFloor = 500 * time.Millisecond
	// fewTimes are too few to say anything of a p99.
	fewTimes = 500
)

// weigh begins to watch the memory of all nodes and the latency of others.
func (s *stage) weigh(ctx context.Context) (end func() toll) {
	over := s.l.check.Aside()
	ctx, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	t := toll{weighed: true, bound: s.memory, floor: s.floor}
	wg.Go(func() {
		least := make(map[int]int64)
		for ctx.Err() == nil {
			for i := range s.l.o.URLs {
				now, err := s.resident(i)
				if err != nil {
					delete(least, i) // it is down; the next one begins anew
					continue
				}
				if was, ok := least[i]; !ok || now < was {
					least[i] = now
				}
				t.grown = max(t.grown, now-least[i])
			}
			pause(ctx, time.Second)
		}
	})
	return func() toll {
		stop()
		wg.Wait()
		t.usual, t.meanwhile = over()
		return t
	}
}

// broken is what of it is too much.
func (t toll) broken(silence time.Duration) (texts []string) {
	bad := func(format string, args ...any) { texts = append(texts, fmt.Sprintf(format, args...)) }
	if t.open > 0 {
		bad("%d of %d sockets that took and said nothing for %v are still open", t.open, t.of, silence)
	}
	if t.grown > t.bound {
		bad("a node's memory grew by %s, and %s is what their queues may hold", mib(t.grown), mib(t.bound))
	}
	if t.judged() && t.meanwhile.P99 > max(slowerBy*t.usual.P99, t.floor) {
		bad("others' messages took %v at p99, and %v without them", t.meanwhile.P99, t.usual.P99)
	}
	return texts
}

func (t toll) judged() bool { return t.usual.Count >= fewTimes && t.meanwhile.Count >= fewTimes }

func (t toll) String() string {
	parts := []string{fmt.Sprintf("%d of %d closed in time", t.of-t.open, t.of)}
	if t.weighed {
		parts = append(parts, "memory +"+mib(t.grown))
		if t.judged() {
			parts = append(parts, fmt.Sprintf("others' p99 %s, usually %s", ms(t.meanwhile.P99), ms(t.usual.P99)))
		}
	}
	return strings.Join(parts, ", ")
}

func mib(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }
