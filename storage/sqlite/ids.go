package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"sync"
)

// idHints says in which row of message_ids a message may be known. The table is the truth: it takes one row a group,
// always at its end, where an index by id would touch a page anywhere for each message. A hint may be stale, so its row
// is read before it is believed; but what the table holds has a hint, unless two ids collide in 64 bits that are keyed
// anew in each process. It takes 25 to 50 bytes a message of the dedupe window, and is read back at Open:
// docs/decisions/004-known-messageids.md.
type idHints struct {
	seed maphash.Seed

	mu   sync.Mutex // guards the following
	rows map[uint64]int64
	last int64 // newest row
}

func newIDHints() *idHints { return &idHints{seed: maphash.MakeSeed(), rows: map[uint64]int64{}} }

func (h *idHints) hash(id appendID) uint64 { return maphash.Comparable(h.seed, id) }

// row is where id may be, or 0: it is nowhere.
func (h *idHints) row(id appendID) int64 {
	x := h.hash(id)
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rows[x]
}

// add takes a group in before it is committed, for the next of the same transaction. Is that rolled back, the hint leads
// to no row or to another's.
func (h *idHints) add(group map[appendID]uint64) (row int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	for id := range group {
		h.rows[h.hash(id)] = h.last
	}
	return h.last
}

// forget drops the hints of a row that is deleted, once that is committed.
func (h *idHints) forget(row int64, ids map[appendID]uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range ids {
		if x := h.hash(id); h.rows[x] == row {
			delete(h.rows, x)
		}
	}
}

// load reads the table, oldest first.
func (h *idHints) load(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, `SELECT id, ids FROM message_ids ORDER BY id`)
	if err != nil {
		return err
	}
	return each(rows, func(r *sql.Rows) error {
		var blob sql.RawBytes
		if err := r.Scan(&h.last, &blob); err != nil {
			return err
		}
		ids, err := parseIDs(blob)
		for id := range ids {
			h.rows[h.hash(id)] = h.last
		}
		return err
	})
}

// appendIDs is a group as its row has it: topic, key and seq of each.
func appendIDs(b []byte, group map[appendID]uint64) []byte {
	for id, seq := range group {
		b = binary.AppendUvarint(b, uint64(id.topic))
		b = append(b, id.key[:]...)
		b = binary.AppendUvarint(b, seq)
	}
	return b
}

var errIDs = errors.New("broken row of message_ids")

func parseIDs(b []byte) (map[appendID]uint64, error) {
	group := make(map[appendID]uint64, len(b)/(keySize+2))
	for len(b) > 0 {
		topic, n := binary.Uvarint(b)
		if n <= 0 || len(b) < n+keySize {
			return nil, errIDs
		}
		id := appendID{topic: int64(topic), key: idKey(b[n:])}
		b = b[n+keySize:]
		seq, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, errIDs
		}
		b = b[n:]
		group[id] = seq
	}
	return group, nil
}
