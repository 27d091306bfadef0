package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/fastport/fastport/storage"
)

// Read implements storage.Mailbox. One look at the journal, then one statement, which is one snapshot.
func (s *Store) Read(ctx context.Context, at storage.Topic, after uint64, limit, size int) (storage.Page, error) {
	limit, now := max(limit, 1), s.clock()
	head, recent := s.journal.read(at, after, limit+1, size, now) // one more tells whether the limit cut it
	p := paging{page: storage.Page{Epoch: s.epoch}, limit: limit, size: size}
	scan := func(r *sql.Rows) error {
		var (
			m               storage.Message
			seq, timestamp  sql.Null[int64]
			stored, expires sql.Null[int64]
			id, sub, hash   sql.Null[string]
			data            sql.RawBytes // copied only where the page takes it
		)
		if err := r.Scan(&p.page.Head, &seq, &id, &sub, &data, &hash, &timestamp, &stored, &expires); err != nil {
			return err
		}
		p.there = true
		if !seq.Valid {
			return nil // a topic, but no message
		}
		if !p.takes(len(data)) {
			return errStop
		}
		m.Seq, m.MessageID, m.Origin, m.Hash = uint64(seq.V), id.V, storage.Subscriber(sub.V), hash.V
		m.Data = append(make([]byte, 0, len(data)), data...)
		m.Timestamp, m.StoredAt, m.ExpiresAt = timestamp.V, fromMilli(stored.V), fromMilli(expires.V)
		p.page.Messages = append(p.page.Messages, m)
		return nil
	}
	err := s.reader.rows(ctx, scan, `SELECT t.head, m.seq, m.message_id, m.origin, m.data, m.hash, m.timestamp, m.stored_at, m.expires_at
		FROM topics t LEFT JOIN messages m ON m.topic = t.id AND m.seq > ? AND m.expires_at > ?
		WHERE t.session = ? AND t.name = ? ORDER BY m.seq LIMIT ?`,
		int64(after), now, at.Session, at.Name, limit+1)
	if err != nil {
		return storage.Page{}, fail("read", err)
	}
	if p.there { // else it was dropped
		p.follow(head, recent)
	}
	return p.end(), nil
}

// paging fills a page with what fits.
type paging struct {
	page        storage.Page
	limit, size int
	there       bool // there is such a topic
	cut         bool // something did not fit
}

// takes says whether a message of so many bytes fits.
func (p *paging) takes(size int) bool {
	if n := len(p.page.Messages); n > 0 && (n >= p.limit || size > p.size) {
		p.cut = true
		return false
	}
	p.size -= size
	return true
}

// follow adds what was in the journal before the tables were asked. Some of it may have moved meanwhile, and is known.
func (p *paging) follow(head uint64, recent []storage.Message) {
	p.page.Head = max(p.page.Head, head)
	for _, m := range recent {
		if n := len(p.page.Messages); n > 0 && m.Seq <= p.page.Messages[n-1].Seq {
			continue
		}
		if p.cut || !p.takes(len(m.Data)) {
			return
		}
		p.page.Messages = append(p.page.Messages, m)
	}
}

func (p *paging) end() storage.Page {
	p.page.Through = p.page.Head
	if p.cut {
		p.page.Through = p.page.Messages[len(p.page.Messages)-1].Seq
	}
	return p.page
}

// Heads implements storage.Mailbox.
func (s *Store) Heads(ctx context.Context, topics []storage.Topic) ([]uint64, string, error) {
	heads := make([]uint64, len(topics))
	for i, at := range topics {
		recent := s.journal.newest(at) // before the table: see journal
		err := s.reader.row(ctx, `SELECT head FROM topics WHERE session = ? AND name = ?`, at.Session, at.Name).Scan(&heads[i])
		switch {
		case err == nil:
			heads[i] = max(heads[i], recent)
		case !errors.Is(err, sql.ErrNoRows):
			return nil, s.epoch, fail("heads", err)
		}
	}
	return heads, s.epoch, nil
}
