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
	end     atomic.Int64  // a time.Duration; earlier where somebody interrupts
	stopped chan struct{} // closed where somebody does

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
	acked numbers
}

// stream is what one subscriber got of its publisher.
type stream struct {
	timing
	got     numbers
	late    uint64 // so many came after a higher one
	doubled uint64
	foreign uint64 // no messages of this benchmark
}

// numbers is a set of messages' numbers, which come mostly in their order.
type numbers struct {
	next    uint64              // the one above the highest
	missing map[uint64]struct{} // lower ones that are not in it
}

// add puts a number in. It is fresh where it was not there before, and late where a higher one was.
func (s *numbers) add(number uint64) (fresh, late bool) {
	if number >= s.next {
		for n := s.next; n < number; n++ {
			if s.missing == nil {
				s.missing = make(map[uint64]struct{})
			}
			s.missing[n] = struct{}{}
		}
		s.next = number + 1
		return true, false
	}
	_, late = s.missing[number]
	delete(s.missing, number)
	return late, late
}

func (s *numbers) has(number uint64) bool {
	_, missing := s.missing[number]
	return number < s.next && !missing
}

func (s *numbers) count() uint64 { return s.next - uint64(len(s.missing)) }

// without is how many numbers of s are not in other.
func (s *numbers) without(other *numbers) (n uint64) {
	for number := range other.missing {
		if s.has(number) {
			n++
		}
	}
	if s.next <= other.next {
		return n
	}
	n += s.next - other.next
	for number := range s.missing {
		if number >= other.next {
			n--
		}
	}
	return n
}

// now is the benchmark's clock.
func (t *tally) now() time.Duration { return time.Since(t.started) }

// until is when the measured time ends.
func (t *tally) until() time.Duration { return time.Duration(t.end.Load()) }

// stop ends the measured time now, if it is not over, and whatever waits for a message to be due.
func (t *tally) stop() {
	t.end.Store(min(t.end.Load(), int64(t.now())))
	close(t.stopped)
}

// await returns at a time of the clock, or when the measured time was ended.
func (t *tally) await(at time.Duration) {
	wait := at - t.now()
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.stopped:
	}
}

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
		n += t.sources[i/each].lost(s)
	}
	return n
}

// ack takes in that one of a publisher's messages, which was due at a time, is acked.
func (t *tally) ack(p *source, number uint64, due time.Duration) {
	p.mu.Lock()
	p.acked.add(number)
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
	fresh, late := s.got.add(number)
	switch {
	case !fresh:
		s.doubled++
	case late:
		s.late++
	}
	return fresh
}

// lost is how many of its acked messages a subscriber has not got.
func (p *source) lost(s *stream) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.acked.without(&s.got)
}

func (p *source) count() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.acked.count()
}

func (s *stream) count() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.count()
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
