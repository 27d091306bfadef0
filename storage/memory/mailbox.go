package memory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"sort"

	"github.com/fastport/fastport/storage"
)

// Append implements storage.Mailbox.
func (s *Store) Append(_ context.Context, group []storage.Entry) ([]storage.Appended, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	results := make([]storage.Appended, len(group))
	for i := range group {
		results[i] = s.append(&group[i])
	}
	return results, s.epoch, nil
}

func (s *Store) append(e *storage.Entry) storage.Appended {
	ss, err := s.live(e.Topic.Session)
	if err != nil {
		return storage.Appended{Err: err}
	}
	t := ss.topics[e.Topic.Name]
	if t == nil {
		return storage.Appended{Outcome: storage.NotStored} // nobody ever subscribed
	}
	// A repeat comes first: it is answered as before, whatever has become of the subscribers since.
	now, key := s.now(), messageKey(sha256.Sum256([]byte(e.MessageID)))
	if known, ok := t.ids[key]; ok && now.Before(known.at.Add(s.options.DedupeWindow)) {
		return storage.Appended{Outcome: storage.Repeat, Seq: known.seq}
	}
	origin := t.subscriptions[e.Origin]
	if owed := len(t.subscriptions); owed == 0 || owed == 1 && origin != nil {
		return storage.Appended{Outcome: storage.NotStored}
	}
	size := int64(len(e.Data))
	if q := s.options.StoredBytes; q > 0 && ss.bytes+size > q {
		return storage.Appended{Err: storage.ErrQuota}
	}
	ss.bytes += size
	t.head++
	t.messages = append(t.messages, storage.Message{
		Seq:       t.head,
		MessageID: e.MessageID,
		Origin:    e.Origin,
		Data:      bytes.Clone(e.Data),
		Hash:      e.Hash,
		Timestamp: e.Timestamp,
		StoredAt:  now,
		ExpiresAt: now.Add(e.Expiry),
	})
	t.ids[key] = id{t.head, now}
	t.idOrder = append(t.idOrder, idDue{key, now})
	if origin != nil {
		origin.settled.Add(t.head, t.head)
	}
	if e.Wake > 0 {
		t.wakes[t.head] = &wake{due: now.Add(e.Wake)}
	}
	return storage.Appended{Outcome: storage.Stored, Seq: t.head}
}

// Read implements storage.Mailbox.
func (s *Store) Read(_ context.Context, at storage.Topic, after uint64, limit, size int) (storage.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	page := storage.Page{Epoch: s.epoch}
	t := s.topic(at)
	if t == nil {
		return page, nil
	}
	page.Head, page.Through = t.head, t.head
	now := s.now()
	first := sort.Search(len(t.messages), func(i int) bool { return t.messages[i].Seq > after })
	for _, m := range t.messages[first:] {
		if expired(m.ExpiresAt, now) {
			continue
		}
		if n := len(page.Messages); n > 0 && (n >= limit || len(m.Data) > size) {
			page.Through = page.Messages[n-1].Seq
			break
		}
		size -= len(m.Data)
		page.Messages = append(page.Messages, m)
	}
	return page, nil
}

// Heads implements storage.Mailbox.
func (s *Store) Heads(_ context.Context, topics []storage.Topic) ([]uint64, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	heads := make([]uint64, len(topics))
	for i, at := range topics {
		if t := s.topic(at); t != nil {
			heads[i] = t.head
		}
	}
	return heads, s.epoch, nil
}
