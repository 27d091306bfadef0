package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/fastport/fastport/storage"
)

// SaveAudit implements storage.Audits.
func (s *Store) SaveAudit(ctx context.Context, a storage.Audit) error {
	failed := a.Result != storage.AuditOK
	err := s.writer.do(ctx, 1, func(db *conn) error {
		err := db.exec(`INSERT INTO audits (at, username, action, target, origin, node, result, failed) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			s.clock(), a.User, a.Action, a.Target, a.From, a.Node, a.Result, failed)
		if err != nil {
			return err
		}
		return db.exec(`DELETE FROM audits WHERE failed = ?1 AND id <= (SELECT id FROM audits WHERE failed = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)`,
			failed, s.options.Audits)
	})
	return fail("save audit", err)
}

// Audits implements storage.Audits.
func (s *Store) Audits(ctx context.Context, before int64, limit int) ([]storage.Audit, error) {
	var out []storage.Audit
	err := s.reader.rows(ctx, func(r *sql.Rows) error {
		var a storage.Audit
		var at int64
		err := r.Scan(&a.ID, &at, &a.User, &a.Action, &a.Target, &a.From, &a.Node, &a.Result)
		a.At = fromMilli(at)
		out = append(out, a)
		return err
	}, `SELECT id, at, username, action, target, origin, node, result FROM audits WHERE ?1 = 0 OR id < ?1 ORDER BY id DESC LIMIT ?2`, before, limit)
	return out, fail("audits", err)
}

// Usage implements storage.Looks.
func (s *Store) Usage(ctx context.Context, session string) (u storage.Usage, err error) {
	err = s.reader.row(ctx, `SELECT (SELECT count(*) FROM topics WHERE session = ?1), (SELECT coalesce(sum(subscribers), 0) FROM topics WHERE session = ?1),
		(SELECT coalesce(sum(messages), 0) FROM usage WHERE session = ?1), (SELECT coalesce(sum(bytes), 0) FROM usage WHERE session = ?1),
		(SELECT count(*) FROM device_tokens WHERE session = ?1), (SELECT count(DISTINCT user_id) FROM device_tokens WHERE session = ?1),
		(SELECT count(*) FROM push_outbox WHERE session = ?1)`, session).
		Scan(&u.Topics, &u.Subscriptions, &u.Messages, &u.Bytes, &u.Devices, &u.Users, &u.Wakes)
	recent := s.journal.total(session)
	u.Messages += recent.messages
	u.Bytes += recent.bytes
	return u, fail("usage", err)
}

// SessionDevices implements storage.Looks.
func (s *Store) SessionDevices(ctx context.Context, session, afterUser, afterID string, limit int) ([]storage.Device, error) {
	var out []storage.Device
	err := s.reader.rows(ctx, func(r *sql.Rows) error {
		d := storage.Device{Session: session}
		var created, updated int64
		err := r.Scan(&d.User, &d.ID, &d.Platform, &created, &updated)
		d.CreatedAt, d.UpdatedAt = fromMilli(created), fromMilli(updated)
		out = append(out, d)
		return err
	}, `SELECT user_id, device_id, platform, created_at, updated_at FROM device_tokens
		WHERE session = ? AND (user_id, device_id) > (?, ?) ORDER BY user_id, device_id LIMIT ?`, session, afterUser, afterID, limit)
	return out, fail("session devices", err)
}

// Find implements storage.Looks.
func (s *Store) Find(ctx context.Context, session, topic, messageID string) ([]storage.Found, error) {
	found := map[int64]*storage.Found{}
	recent := s.journal.find(session, topic, messageID) // before the tables: see journal
	err := s.findKnown(ctx, session, topic, messageID, found)
	if err == nil {
		err = s.findStored(ctx, session, topic, messageID, found)
	}
	for _, m := range recent {
		if err == nil {
			err = s.findRecent(ctx, m, found)
		}
	}
	var out []storage.Found
	for id, f := range found {
		if err == nil {
			err = s.positions(ctx, id, f)
		}
		out = append(out, *f)
	}
	slices.SortFunc(out, func(a, b storage.Found) int { return strings.Compare(a.Topic, b.Topic) })
	return out[:min(len(out), storage.FoundTopics)], fail("find", err)
}

// findKnown asks the ids of the dedupe window.
func (s *Store) findKnown(ctx context.Context, session, topic, messageID string, found map[int64]*storage.Found) error {
	sum := sha256.Sum256([]byte(messageID))
	type hint struct {
		id   appendID
		name string
		row  int64
	}
	var hints []hint
	err := s.reader.rows(ctx, func(r *sql.Rows) error {
		h := hint{id: appendID{key: idKey(sum[:keySize])}}
		err := r.Scan(&h.id.topic, &h.name)
		if h.row = s.hints.row(h.id); h.row != 0 && len(hints) < storage.FoundTopics {
			hints = append(hints, h)
		}
		return err
	}, `SELECT id, name FROM topics WHERE session = ?1 AND (?2 = '' OR name = ?2) ORDER BY name`, session, topic)
	for _, h := range hints {
		var at int64
		var blob []byte
		if err == nil {
			err = s.reader.row(ctx, `SELECT stored_at, ids FROM message_ids WHERE id = ?`, h.row).Scan(&at, &blob)
		}
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
			continue
		} else if err != nil {
			return err
		}
		ids, err := parseIDs(blob)
		if err != nil {
			return err
		}
		if seq := ids[h.id]; seq > 0 {
			found[h.id.topic] = &storage.Found{Topic: h.name, Seq: seq, Known: fromMilli(at)}
		}
	}
	return err
}

// findStored asks the messages themselves, which may outlive their ids.
func (s *Store) findStored(ctx context.Context, session, topic, messageID string, found map[int64]*storage.Found) error {
	return s.reader.rows(ctx, func(r *sql.Rows) error {
		f := storage.Found{Stored: true}
		var id, stored, expires int64
		err := r.Scan(&id, &f.Topic, &f.Seq, &stored, &expires, &f.Timestamp, &f.Origin, &f.Size, &f.Wake)
		f.StoredAt, f.ExpiresAt = fromMilli(stored), fromMilli(expires)
		if known := found[id]; known != nil {
			f.Known = known.Known
		}
		found[id] = &f
		return err
	}, `SELECT t.id, t.name, m.seq, m.stored_at, m.expires_at, m.timestamp, m.origin, length(m.data),
			EXISTS (SELECT 1 FROM push_outbox p WHERE p.topic = m.topic AND p.seq = m.seq)
		FROM topics t JOIN messages m ON m.topic = t.id
		WHERE t.session = ?1 AND (?2 = '' OR t.name = ?2) AND m.message_id = ?3 ORDER BY t.name, m.seq LIMIT ?4`,
		session, topic, messageID, storage.FoundTopics)
}

// findRecent takes in what the journal had.
func (s *Store) findRecent(ctx context.Context, r recent, found map[int64]*storage.Found) error {
	f := storage.Found{Topic: r.topic, Seq: r.Seq, Stored: true, StoredAt: r.StoredAt, ExpiresAt: r.ExpiresAt, Timestamp: r.Timestamp,
		Origin: r.Origin, Size: len(r.Data)}
	if known := found[r.id]; known != nil {
		if known.Stored && known.Seq >= f.Seq {
			return nil // it has moved meanwhile
		}
		f.Known = known.Known
	}
	found[r.id] = &f
	return s.reader.row(ctx, `SELECT EXISTS (SELECT 1 FROM push_outbox WHERE topic = ? AND seq = ?)`, r.id, int64(r.Seq)).Scan(&f.Wake)
}

// positions fills in who has settled what was found.
func (s *Store) positions(ctx context.Context, topic int64, f *storage.Found) error {
	err := s.reader.rows(ctx, func(r *sql.Rows) error {
		var p storage.Position
		var own sql.RawBytes
		if err := r.Scan(&p.Subscriber, &own); err != nil {
			return err
		}
		ranges, err := storage.ParseRanges(own)
		f.Subscriptions++
		if p.Settled = ranges.Contains(f.Seq); p.Settled {
			f.Settled++
		}
		f.Positions = append(f.Positions, p)
		if len(f.Positions) >= 2*storage.FoundPositions {
			f.Trim()
		}
		return err
	}, `SELECT subscriber, settled FROM subscriptions WHERE topic = ?`, topic)
	f.Trim()
	return err
}
