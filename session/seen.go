package session

import "hash/maphash"

// Bounds of what a topic remembers of ids: at least seenFor (but for the flood that overflows), and up to seenMost
// where few come.
const (
	seenFor  = int64(60e9)
	seenMost = int64(15 * 60e9)
	seenFew  = 512
	seenMany = 1 << 17
)

// sight says how this node came by a message.
type sight uint8

const (
	seenCopy sight = 1 << iota // live
	seenRow                    // read back from the store
	seenLate                   // live, but too late to be delivered
)

// seen remembers messageIds in two generations, as hashes under a key of this process.
type seen struct {
	key      maphash.Seed
	now, old map[uint64]sight
	since    int64
}

// add records a sight of id and returns what there was of it before.
func (s *seen) add(id string, how sight, at int64) (before sight) {
	if age := at - s.since; s.now == nil || len(s.now) >= seenMany || age > seenMost || age > seenFor && len(s.now) >= seenFew {
		s.old, s.now, s.since = s.now, map[uint64]sight{}, at
	}
	h := maphash.String(s.key, id)
	before = s.now[h] | s.old[h]
	// A resend keeps an id alive.
	s.now[h] = before | how
	return before
}
