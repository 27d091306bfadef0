package main

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/verify"
)

// stampSize is what a message of a benchmark begins with: when it was due, in nanoseconds of the benchmark's clock, and
// its number among its publisher's.
const stampSize = 16

func stamp(payload []byte, due time.Duration, number uint64) {
	binary.BigEndian.PutUint64(payload, uint64(due))
	binary.BigEndian.PutUint64(payload[8:], number)
}

// tally is what is counted. The measured time is from begin to end on its clock; what was due before or later counts for
// what was lost, but not for figures.
type tally struct {
	started time.Time
	begin   time.Duration
	end     atomic.Int64 // a time.Duration; earlier where somebody interrupts

	published, acked, failed, delivered, unsent atomic.Uint64 // in all
	fault                                       atomic.Pointer[error]

	acks    []*timing // one a publisher
	streams []*stream // one a subscriber; those of one publisher stand together
}

// timing is the times of what one client saw.
type timing struct {
	acked atomic.Uint64 // of a publisher, in all

	mu    sync.Mutex // guards the following
	count uint64     // of those in the measured time
	times verify.Histogram
}

// stream is what one subscriber got of its publisher.
type stream struct {
	timing
	next    uint64              // the number after the highest that came
	missing map[uint64]struct{} // lower ones that did not
	late    uint64              // of which so many came after all, out of order
	doubled uint64
	foreign uint64 // no messages of this benchmark
	got     uint64
}

// now is the benchmark's clock.
func (t *tally) now() time.Duration { return time.Since(t.started) }

// until is when the measured time ends.
func (t *tally) until() time.Duration { return time.Duration(t.end.Load()) }

// stop ends the measured time now, if it is not over.
func (t *tally) stop() { t.end.Store(min(t.end.Load(), int64(t.now()))) }

// add counts one that was due at a time and is there now.
func (t *tally) add(to *timing, due time.Duration) {
	if due < t.begin || due >= t.until() {
		return
	}
	took := t.now() - due
	to.mu.Lock()
	to.count++
	to.times.Add(took)
	to.mu.Unlock()
}

// fail counts a publish that was refused, and keeps the first reason.
func (t *tally) fail(err error) {
	t.failed.Add(1)
	t.fault.CompareAndSwap(nil, &err)
}

// skip counts messages that were due in time and never went out.
func (t *tally) skip(n uint64) { t.unsent.Add(n) }

// lost is how many messages that were acked have not arrived.
func (t *tally) lost() (n uint64) {
	each := len(t.streams) / len(t.acks)
	for i, s := range t.streams {
		owed := t.acks[i/each].acked.Load()
		s.mu.Lock()
		n += owed - min(owed, s.got)
		s.mu.Unlock()
	}
	return n
}

// take takes in a message.
func (t *tally) take(s *stream, payload []byte) {
	if len(payload) < stampSize {
		s.mu.Lock()
		s.foreign++
		s.mu.Unlock()
		return
	}
	due, number := time.Duration(binary.BigEndian.Uint64(payload)), binary.BigEndian.Uint64(payload[8:])
	if s.see(number) {
		t.delivered.Add(1)
		t.add(&s.timing, due)
	}
}

// see notes a number. False: it was there before.
func (s *stream) see(number uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch _, missed := s.missing[number]; {
	case number >= s.next:
		for n := s.next; n < number; n++ {
			if s.missing == nil {
				s.missing = make(map[uint64]struct{})
			}
			s.missing[n] = struct{}{}
		}
		s.next = number + 1
	case missed:
		delete(s.missing, number)
		s.late++
	default:
		s.doubled++
		return false
	}
	s.got++
	return true
}

// total joins what several clients saw.
func total[T any](list []T, of func(T) *timing) (count uint64, times verify.Histogram) {
	for _, one := range list {
		t := of(one)
		t.mu.Lock()
		count += t.count
		times.Merge(&t.times)
		t.mu.Unlock()
	}
	return count, times
}

func (t *tally) acksTotal() (uint64, verify.Histogram) {
	return total(t.acks, func(one *timing) *timing { return one })
}

func (t *tally) deliveries() (uint64, verify.Histogram) {
	return total(t.streams, func(s *stream) *timing { return &s.timing })
}
