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

	published, failed, unsent atomic.Uint64 // in all
	fault                     atomic.Pointer[error]

	sources []*source
	streams []*stream // those of one source stand together
}

// timing is the times of what one client saw.
type timing struct {
	mu    sync.Mutex       // guards the following, and what else it is a part of
	times verify.Histogram // in the measured time
}

// source is one publisher.
type source struct {
	timing
	acked uint64
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
	each := len(t.streams) / len(t.sources)
	for i, s := range t.streams {
		owed, got := t.sources[i/each].count(), s.count()
		n += owed - min(owed, got)
	}
	return n
}

// ack takes in that one of a publisher's messages, which was due at a time, is acked.
func (t *tally) ack(p *source, due time.Duration) {
	p.mu.Lock()
	p.acked++
	p.mu.Unlock()
	t.add(&p.timing, due)
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

func (p *source) count() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acked
}

func (s *stream) count() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

func (t *timing) addTo(h *verify.Histogram) {
	t.mu.Lock()
	defer t.mu.Unlock()
	h.Merge(&t.times)
}

// acks are how many there were in all, and the times of those in the measured time.
func (t *tally) acks() (n uint64, times verify.Histogram) {
	for _, p := range t.sources {
		n += p.count()
		p.addTo(&times)
	}
	return n, times
}

// deliveries are the same of what arrived.
func (t *tally) deliveries() (n uint64, times verify.Histogram) {
	for _, s := range t.streams {
		n += s.count()
		s.addTo(&times)
	}
	return n, times
}
