package storage

// Range is the seqs Lo to Hi, both included.
type Range struct{ Lo, Hi uint64 }

// Ranges is a set of seqs as ascending, disjoint, non-adjacent ranges. The zero value is the empty set.
type Ranges []Range
