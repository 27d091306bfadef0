package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fastport/fastport/storage"
)

// Read implements storage.Mailbox. One statement, so one snapshot: a message that the head counts is in it.
func (s *Store) Read(ctx context.Context, at storage.Topic, after uint64, limit, size int) (storage.Page, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	limit = max(limit, 1)
	page, err := query(ctx, s, collectPage, `
		WITH at AS (
			SELECT t.id, c.head FROM topics t JOIN counters c ON c.topic = t.id WHERE t.session = $1 AND t.name = $2
		), found AS ( -- one more than asked for, to know whether there is more
			SELECT m.*,
				row_number() OVER (ORDER BY m.seq) AS n,
				sum(octet_length(m.data)) OVER (ORDER BY m.seq) AS upto,
				count(*) OVER () AS total
			FROM (
				SELECT m.* FROM messages m
				WHERE m.topic = (SELECT id FROM at) AND m.seq > $3 AND m.expires_at > clock_timestamp()
				ORDER BY m.seq
				LIMIT $4 + 1
			) m
		)
		SELECT coalesce(at.head, 0), e.epoch, coalesce(f.total, 0),
			f.seq, f.message_id, f.origin, f.data, f.hash, f.timestamp, f.stored_at, f.expires_at
		FROM (SELECT store_epoch() AS epoch) e
		LEFT JOIN at ON true
		LEFT JOIN found f ON f.n = 1 OR (f.n <= $4 AND f.upto <= $5)
		ORDER BY f.seq`,
		at.Session, at.Name, position(after), int64(limit), int64(size))
	if err == nil {
		err = s.admit(page.Epoch)
	}
	if err != nil {
		return storage.Page{}, failed(ctx, "read", err)
	}
	return page, nil
}

func collectPage(rows pgx.Rows) (page storage.Page, err error) {
	defer rows.Close()
	var total int64
	for rows.Next() {
		// All but the first three are NULL on the one row of an empty page.
		var m storage.Message
		var seq, stamp *int64
		var id, origin, hash *string
		stored, expires := new(time.Time), new(time.Time)
		if err := rows.Scan(&page.Head, &page.Epoch, &total, &seq, &id, &origin, &m.Data, &hash, &stamp, &stored, &expires); err != nil {
			return storage.Page{}, err
		}
		if seq == nil {
			continue
		}
		m.Seq, m.MessageID, m.Origin, m.Hash, m.Timestamp = uint64(*seq), *id, storage.Subscriber(*origin), *hash, *stamp
		m.StoredAt, m.ExpiresAt = *stored, *expires
		page.Messages = append(page.Messages, m)
	}
	page.Through = page.Head
	if n := len(page.Messages); int64(n) < total {
		page.Through = page.Messages[n-1].Seq
	}
	return page, rows.Err()
}

// Heads implements storage.Mailbox.
func (s *Store) Heads(ctx context.Context, topics []storage.Topic) (heads []uint64, epoch string, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	sessions, names := make([]string, len(topics)), make([]string, len(topics))
	for i, t := range topics {
		sessions[i], names[i] = t.Session, t.Name
	}
	err = s.row(ctx, `
		SELECT coalesce(array_agg(coalesce(c.head, 0) ORDER BY w.n), '{}'), store_epoch()
		FROM unnest($1::text[], $2::text[]) WITH ORDINALITY w (session, name, n)
		LEFT JOIN topics t ON t.session = w.session AND t.name = w.name
		LEFT JOIN counters c ON c.topic = t.id`,
		sessions, names).Scan(&heads, &epoch)
	if err == nil {
		err = s.admit(epoch)
	}
	if err != nil {
		return nil, "", failed(ctx, "heads", err)
	}
	return heads, epoch, nil
}
