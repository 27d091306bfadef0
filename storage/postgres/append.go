package postgres

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/fastport/fastport/storage"
)

// Append implements storage.Mailbox. A group is one call and one commit. One that fails for a member's sake is cut in
// halves until the member stands alone, so a poisonous message costs its neighbours a few commits and no more.
func (s *Store) Append(ctx context.Context, group []storage.Entry) ([]storage.Appended, string, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	results, epoch, err := s.append(ctx, group)
	switch {
	case err == nil:
		return results, epoch, nil
	case !poisoned(err) || len(group) == 0:
		return nil, "", failed(ctx, "append", err)
	case len(group) == 1:
		_, epoch, emptyErr := s.append(ctx, nil)
		return []storage.Appended{{Err: failed(ctx, "append", err)}}, epoch, failed(ctx, "append", emptyErr)
	}
	half := len(group) / 2
	first, firstEpoch, err := s.Append(ctx, group[:half])
	if err != nil {
		return nil, "", err
	}
	second, epoch, err := s.Append(ctx, group[half:])
	if err != nil { // the first half is committed: say so
		second, epoch = make([]storage.Appended, len(group)-half), firstEpoch
		for i := range second {
			second[i].Err = err
		}
	} else if epoch != firstEpoch {
		return nil, "", fmt.Errorf("postgres: append: %w: the server was replaced meanwhile", storage.ErrUnavailable)
	}
	return append(first, second...), epoch, nil
}

// Outcomes of append_messages and subscribe_topic beside those of storage.
const (
	noSession = 4
	overQuota = 5
)

// append makes the call.
func (s *Store) append(ctx context.Context, group []storage.Entry) (results []storage.Appended, epoch string, err error) {
	args := appendArgs(group, s.options)
	var outcomes []int16
	var seqs []int64
	err = s.row(ctx, `
		SELECT outcomes, seqs, epoch
		FROM append_messages($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`, args...,
	).Scan(&outcomes, &seqs, &epoch)
	if err == nil {
		err = s.admit(epoch)
	}
	if err != nil {
		return nil, "", err
	}
	results = make([]storage.Appended, len(group))
	for i := range results {
		switch outcome := outcomes[i]; outcome {
		case noSession:
			results[i].Err = storage.ErrNoSession
		case overQuota:
			results[i].Err = storage.ErrQuota
		default:
			results[i] = storage.Appended{Outcome: storage.Outcome(outcome), Seq: uint64(seqs[i])}
		}
	}
	return results, epoch, nil
}

// appendArgs turns a group into columns, each session and topic once. Places are counted from 1.
func appendArgs(group []storage.Entry, o storage.Options) []any {
	n := len(group)
	var (
		known    = make(map[storage.Topic]int32, 8)
		earlier  = make(map[place]int32, n)
		tenants  = make(map[string]int32, 1)
		sessions = []string{}
		session  = []int32{}
		names    = []string{}
		topics   = make([]int32, n)
		ids      = make([][]byte, n)
		before   = make([]int32, n)
		messages = make([]string, n)
		origins  = make([]string, n)
		data     = make([][]byte, n)
		sizes    = make([]int64, n)
		hashes   = make([]string, n)
		stamps   = make([]int64, n)
		expiries = make([]int64, n)
		keys     = make([]byte, 0, n*messageKeySize)
		wakes    []int64 // nil: nobody is to be woken
	)
	for i := range group {
		e := &group[i]
		at, ok := known[e.Topic]
		if !ok {
			tenant, ok := tenants[e.Topic.Session]
			if !ok {
				sessions = append(sessions, e.Topic.Session)
				tenant = int32(len(sessions))
				tenants[e.Topic.Session] = tenant
			}
			session, names = append(session, tenant), append(names, e.Topic.Name)
			at = int32(len(names))
			known[e.Topic] = at
		}
		key := messageKey(e.MessageID)
		keys = append(keys, key[:]...)
		topics[i], ids[i] = at, keys[i*messageKeySize:]
		before[i] = earlier[place{at, key}]
		earlier[place{at, key}] = int32(i) + 1
		messages[i], origins[i] = e.MessageID, string(e.Origin)
		data[i], sizes[i] = e.Data, int64(len(e.Data))
		if e.Data == nil {
			data[i] = []byte{} // nil would be NULL
		}
		hashes[i], stamps[i], expiries[i] = e.Hash, e.Timestamp, e.Expiry.Microseconds()
		if e.Wake > 0 {
			if wakes == nil {
				wakes = make([]int64, n)
			}
			wakes[i] = max(1, e.Wake.Microseconds())
		}
	}
	return []any{sessions, session, names, topics, ids, before, messages, origins, data, sizes, hashes, stamps, expiries,
		wakes, o.DedupeWindow, o.StoredBytes}
}

// messageKeySize is what is kept of the hash of a messageId: two that meet are half of 2^128 tries away.
const messageKeySize = 16

func messageKey(id string) (key [messageKeySize]byte) {
	sum := sha256.Sum256([]byte(id))
	copy(key[:], sum[:])
	return key
}

// place is a messageId on a topic of a group.
type place struct {
	topic int32
	key   [messageKeySize]byte
}
