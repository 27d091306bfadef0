package verify

// bitmap is a set of small numbers. It costs a bit for each number up to the largest.
type bitmap []uint64

// set adds n. False: it was there.
func (b *bitmap) set(n int) bool {
	for len(*b) <= n/64 {
		*b = append(*b, 0)
	}
	word, bit := &(*b)[n/64], uint64(1)<<(n%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}

func (b bitmap) has(n int) bool { return n/64 < len(b) && b[n/64]&(1<<(n%64)) != 0 }
