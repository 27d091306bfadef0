package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/fastport/fastport/storage"
)

// Read implements storage.Mailbox. One statement, so one snapshot.
func (s *Store) Read(ctx context.Context, at storage.Topic, after uint64, limit, size int) (storage.Page, error) {
	page := storage.Page{Epoch: s.epoch}
	limit = max(limit, 1)
	cut := false
	scan := func(r *sql.Rows) error {
		var (
			m               storage.Message
			seq, timestamp  sql.Null[int64]
			stored, expires sql.Null[int64]
			id, sub, hash   sql.Null[string]
			data            sql.RawBytes // copied only where the page takes it
		)
		if err := r.Scan(&page.Head, &seq, &id, &sub, &data, &hash, &timestamp, &stored, &expires); err != nil {
			return err
		}
		if !seq.Valid {
			return nil // a topic, but no message
		}
		if n := len(page.Messages); n > 0 && (n >= limit || len(data) > size) {
			cut = true
			return errStop
		}
		size -= len(data)
		m.Seq, m.MessageID, m.Origin, m.Hash = uint64(seq.V), id.V, storage.Subscriber(sub.V), hash.V
		m.Data = append(make([]byte, 0, len(data)), data...)
		m.Timestamp, m.StoredAt, m.ExpiresAt = timestamp.V, fromMilli(stored.V), fromMilli(expires.V)
		page.Messages = append(page.Messages, m)
		return nil
	}
	err := s.reader.rows(ctx, scan, `SELECT t.head, m.seq, m.message_id, m.origin, m.data, m.hash, m.timestamp, m.stored_at, m.expires_at
		FROM topics t LEFT JOIN messages m ON m.topic = t.id AND m.seq > ? AND m.expires_at > ?
		WHERE t.session = ? AND t.name = ? ORDER BY m.seq LIMIT ?`,
		int64(after), s.clock(), at.Session, at.Name, limit+1) // one more tells whether the limit cut it
	if err != nil {
		return storage.Page{}, fail("read", err)
	}
	page.Through = page.Head
	if cut {
		page.Through = page.Messages[len(page.Messages)-1].Seq
	}
	return page, nil
}

// Heads implements storage.Mailbox.
func (s *Store) Heads(ctx context.Context, topics []storage.Topic) ([]uint64, string, error) {
	heads := make([]uint64, len(topics))
	for i, at := range topics {
		err := s.reader.row(ctx, `SELECT head FROM topics WHERE session = ? AND name = ?`, at.Session, at.Name).Scan(&heads[i])
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return nil, s.epoch, fail("heads", err)
		}
	}
	return heads, s.epoch, nil
}
