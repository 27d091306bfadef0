package storage

import (
	"encoding/binary"
	"errors"
	"slices"
	"sort"
)

// Range is the seqs Lo to Hi, both included.
type Range struct{ Lo, Hi uint64 }

// Ranges is a set of seqs as ascending, disjoint, non-adjacent ranges. The zero value is the empty set. 0 is no seq
// and is in no set. Ranges is not safe for concurrent use; only Add changes the set it is called on.
type Ranges []Range

// ErrRanges is what ParseRanges says of bytes that AppendBinary did not write.
var ErrRanges = errors.New("storage: malformed ranges")

// Span is the set of lo to hi, both included; empty where lo > hi.
func Span(lo, hi uint64) Ranges {
	var r Ranges
	r.Add(lo, hi)
	return r
}

// Add puts lo to hi, both included, into the set. Nothing happens where lo > hi.
func (r *Ranges) Add(lo, hi uint64) {
	lo = max(lo, 1)
	if lo > hi {
		return
	}
	s := *r
	// s[i:j] are the ranges that lo..hi touches, adjacent ones included: they become one. lo-1 cannot wrap; hi+1 could.
	i := sort.Search(len(s), func(k int) bool { return s[k].Hi >= lo-1 })
	j := i
	for j < len(s) && s[j].Lo-1 <= hi {
		j++
	}
	if i == j {
		*r = slices.Insert(s, i, Range{lo, hi})
		return
	}
	s[i] = Range{min(lo, s[i].Lo), max(hi, s[j-1].Hi)}
	*r = slices.Delete(s, i+1, j)
}

// Union is the set of what is in r or in o. Neither is changed, and the result shares no memory with them.
func (r Ranges) Union(o Ranges) Ranges {
	out := make(Ranges, 0, len(r)+len(o))
	for len(r) > 0 || len(o) > 0 {
		next := &r
		if len(r) == 0 || len(o) > 0 && o[0].Lo < r[0].Lo {
			next = &o
		}
		x := (*next)[0]
		*next = (*next)[1:]
		if n := len(out); n > 0 && x.Lo-1 <= out[n-1].Hi {
			out[n-1].Hi = max(out[n-1].Hi, x.Hi)
		} else {
			out = append(out, x)
		}
	}
	return out
}

// Intersect is the set of what is in both r and o.
func (r Ranges) Intersect(o Ranges) Ranges {
	var out Ranges
	for len(r) > 0 && len(o) > 0 {
		if lo, hi := max(r[0].Lo, o[0].Lo), min(r[0].Hi, o[0].Hi); lo <= hi {
			out = append(out, Range{lo, hi})
		}
		if r[0].Hi < o[0].Hi {
			r = r[1:]
		} else {
			o = o[1:]
		}
	}
	return out
}

// Contains says whether seq is in the set.
func (r Ranges) Contains(seq uint64) bool { return r.Covers(seq, seq) }

// Covers says whether all of lo to hi is in the set. No seq at all (lo > hi) is covered by any set.
func (r Ranges) Covers(lo, hi uint64) bool {
	if lo > hi {
		return true
	}
	i := sort.Search(len(r), func(k int) bool { return r[k].Hi >= lo })
	return i < len(r) && r[i].Lo <= lo && hi <= r[i].Hi
}

// NextGap is the first seq above after that is not in the set.
func (r Ranges) NextGap(after uint64) uint64 {
	seq := after + 1
	i := sort.Search(len(r), func(k int) bool { return r[k].Hi >= seq })
	if i < len(r) && r[i].Lo <= seq {
		return r[i].Hi + 1 // ranges are not adjacent, so this one is outside
	}
	return seq
}

// Max is the highest seq of the set, 0 of the empty one.
func (r Ranges) Max() uint64 {
	if len(r) == 0 {
		return 0
	}
	return r[len(r)-1].Hi
}

// Count is the number of seqs in the set.
func (r Ranges) Count() uint64 {
	var n uint64
	for _, x := range r {
		n += x.Hi - x.Lo + 1
	}
	return n
}

// Clone is a copy that shares no memory with r.
func (r Ranges) Clone() Ranges { return slices.Clone(r) }

// AppendBinary appends the set's one encoding to dst: for each range two uvarints, how far Lo lies beyond the Hi before
// it (0 before the first) and how many seqs follow Lo. The empty set is no bytes; a few ranges are a dozen.
func (r Ranges) AppendBinary(dst []byte) []byte {
	var last uint64
	for _, x := range r {
		dst = binary.AppendUvarint(dst, x.Lo-last)
		dst = binary.AppendUvarint(dst, x.Hi-x.Lo)
		last = x.Hi
	}
	return dst
}

// ParseRanges reads what AppendBinary wrote, and nothing else: bytes that it would have written otherwise are
// ErrRanges. It allocates at most eight times len(b).
func ParseRanges(b []byte) (Ranges, error) {
	if len(b) == 0 {
		return nil, nil
	}
	out := make(Ranges, 0, min(len(b)/2, 64))
	var last uint64
	for least := uint64(1); len(b) > 0; least = 2 { // closer than 2 would be adjacent: one range
		gap, b1, ok := uvarint(b)
		if !ok || gap < least {
			return nil, ErrRanges
		}
		width, b2, ok := uvarint(b1)
		lo := last + gap
		hi := lo + width
		if !ok || lo < last || hi < lo {
			return nil, ErrRanges
		}
		out = append(out, Range{lo, hi})
		b, last = b2, hi
	}
	return out, nil
}

// uvarint reads one shortest-form uvarint.
func uvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}
