package metrics

import "sync/atomic"

// other takes what is outside of a closed set, so that no text from elsewhere becomes a label.
const other = "other"

// Labels counts by a label from a closed set.
type Labels struct {
	counts map[string]*atomic.Uint64 // never written after New
}

// NewLabels counts by these labels, and by "other" for what is none of them.
func NewLabels[L ~string](labels ...L) *Labels {
	l := &Labels{counts: make(map[string]*atomic.Uint64, len(labels)+1)}
	for _, label := range labels {
		l.counts[string(label)] = new(atomic.Uint64)
	}
	l.counts[other] = new(atomic.Uint64)
	return l
}

// Count adds one. A nil Labels counts nothing.
func (l *Labels) Count(label string) {
	if l == nil {
		return
	}
	n := l.counts[label]
	if n == nil {
		n = l.counts[other]
	}
	n.Add(1)
}

// Read is a snapshot. Every label is in it, also at 0.
func (l *Labels) Read() map[string]uint64 {
	all := make(map[string]uint64, len(l.counts))
	for label, n := range l.counts {
		all[label] = n.Load()
	}
	return all
}
