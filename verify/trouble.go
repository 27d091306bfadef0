package verify

import (
	"math"
	"time"
)

// Trouble says which part of a cluster a fault takes away. What is promised meanwhile depends on it.
type Trouble int

const (
	// Backplane: some node cannot reach Redis, or hears nothing from it. Messages may come late, flagged replay, and to
	// ephemeral subscribers not at all.
	Backplane Trouble = 1 << iota
	// Store: some node cannot reach the store. No ack meanwhile.
	Store
	// Nodes: a node is gone, hung or leaving.
	Nodes

	// AnyTrouble is all of them.
	AnyTrouble = Backplane | Store | Nodes
)

// aftermath is how long after a fault's end its effects may still be seen: connections are found dead within 35 s.
const aftermath = 10 * time.Second

// window is a time in which there was trouble.
type window struct {
	what     Trouble
	from, to time.Duration
}

// windows are all of them, in the order that they began.
type windows []window

const forever = time.Duration(math.MaxInt64)

// open begins one and returns what close takes.
func (w *windows) open(what Trouble, at time.Duration) int {
	*w = append(*w, window{what, at, forever})
	return len(*w) - 1
}

func (w windows) close(i int, at time.Duration) { w[i].to = at }

// during reports whether there was such trouble, or its aftermath, at some time from from to to.
func (w windows) during(what Trouble, from, to time.Duration) bool {
	for i := len(w) - 1; i >= 0; i-- {
		end := w[i].to
		if end != forever {
			end += aftermath
		}
		if w[i].what&what != 0 && w[i].from <= to && from <= end {
			return true
		}
	}
	return false
}
