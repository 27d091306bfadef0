package e2ee

import (
	"container/list"
	"slices"
	"sort"
	"sync"
)

// maxRanges bounds what a guard remembers over all senders, some 2 MiB.
const maxRanges = 1 << 16

// ReplayGuard remembers which marks were accepted. A sender's numbers are kept as ranges: one range a sender whose
// every message comes this way, more where only some do. Beyond its bound it forgets the sender heard least recently,
// and of a sole sender the lowest numbers: it would rather take an old message twice than refuse one that never came.
// It is safe for concurrent use.
type ReplayGuard struct {
	max int

	mu      sync.Mutex // guards the following
	senders map[[senderSize]byte]*list.Element
	recent  *list.List // of *history, the sender heard last in front
	ranges  int
}

type history struct {
	sender [senderSize]byte
	seen   []span // ascending, neither touching nor overlapping
}

// span is first to last, both seen.
type span struct{ first, last uint64 }

// NewReplayGuard starts with nothing seen.
func NewReplayGuard() *ReplayGuard { return newReplayGuard(maxRanges) }

func newReplayGuard(max int) *ReplayGuard {
	return &ReplayGuard{max: max, senders: make(map[[senderSize]byte]*list.Element), recent: list.New()}
}

// Seen reports whether m was accepted before.
func (g *ReplayGuard) Seen(m Mark) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	e, ok := g.senders[m.Sender]
	if !ok {
		return false
	}
	h := e.Value.(*history)
	i := h.search(m.Counter)
	return i < len(h.seen) && h.seen[i].first <= m.Counter
}

// Accept remembers m, or returns ErrReplay if it was accepted before.
func (g *ReplayGuard) Accept(m Mark) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	e, ok := g.senders[m.Sender]
	if !ok {
		e = g.recent.PushFront(&history{sender: m.Sender})
		g.senders[m.Sender] = e
	}
	g.recent.MoveToFront(e)
	h := e.Value.(*history)
	before := len(h.seen)
	if !h.add(m.Counter) {
		return ErrReplay
	}
	g.ranges += len(h.seen) - before
	for g.ranges > g.max {
		g.forget()
	}
	return nil
}

func (g *ReplayGuard) forget() {
	e := g.recent.Back()
	h := e.Value.(*history)
	if e == g.recent.Front() {
		h.seen = slices.Delete(h.seen, 0, 1)
		g.ranges--
		return
	}
	g.recent.Remove(e)
	delete(g.senders, h.sender)
	g.ranges -= len(h.seen)
}

// search finds the first span that ends at n or later.
func (h *history) search(n uint64) int {
	if k := len(h.seen); k > 0 && h.seen[k-1].last < n { // the usual case: the next number
		return k
	}
	return sort.Search(len(h.seen), func(i int) bool { return h.seen[i].last >= n })
}

// add puts n into the spans, joining those that it connects. False: it was there.
func (h *history) add(n uint64) bool {
	i := h.search(n)
	if i < len(h.seen) && h.seen[i].first <= n {
		return false
	}
	// n lies between the spans i-1 and i; the bounds keep n+1 and n-1 from wrapping.
	left := i > 0 && h.seen[i-1].last+1 == n
	right := i < len(h.seen) && h.seen[i].first-1 == n
	switch {
	case left && right:
		h.seen[i-1].last = h.seen[i].last
		h.seen = slices.Delete(h.seen, i, i+1)
	case left:
		h.seen[i-1].last = n
	case right:
		h.seen[i].first = n
	default:
		h.seen = slices.Insert(h.seen, i, span{n, n})
	}
	return true
}
