package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fastport/fastport/storage"
)

// SaveAudit implements storage.Audits.
func (s *Store) SaveAudit(ctx context.Context, a storage.Audit) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	failure := a.Result != storage.AuditOK
	_, err := s.exec(ctx, `
		WITH old AS (
			DELETE FROM audits
			WHERE failed = $7 AND id <= (SELECT id FROM audits WHERE failed = $7 ORDER BY id DESC LIMIT 1 OFFSET $8)
		)
		INSERT INTO audits (username, action, target, origin, node, result, failed) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		a.User, a.Action, a.Target, a.From, a.Node, a.Result, failure, s.options.Audits-1)
	return failed(ctx, "save audit", err)
}

// Audits implements storage.Audits.
func (s *Store) Audits(ctx context.Context, before int64, limit int) ([]storage.Audit, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	out, err := query(ctx, s, each(func(row pgx.CollectableRow) (a storage.Audit, err error) {
		err = row.Scan(&a.ID, &a.At, &a.User, &a.Action, &a.Target, &a.From, &a.Node, &a.Result)
		return a, err
	}), `
		SELECT id, at, username, action, target, origin, node, result FROM audits
		WHERE $1 = 0 OR id < $1 ORDER BY id DESC LIMIT $2`, before, limit)
	return out, failed(ctx, "audits", err)
}

// Usage implements storage.Looks.
func (s *Store) Usage(ctx context.Context, session string) (u storage.Usage, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	err = s.row(ctx, `
		SELECT count(*), coalesce(sum(stored), 0)::bigint, coalesce(sum(bytes), 0)::bigint,
			(SELECT count(*) FROM subscriptions WHERE session = $1),
			(SELECT count(*) FROM device_tokens WHERE session = $1),
			(SELECT count(DISTINCT user_id) FROM device_tokens WHERE session = $1),
			(SELECT count(*) FROM topics t JOIN push_outbox p ON p.topic = t.id WHERE t.session = $1)
		FROM counters WHERE session = $1`, session,
	).Scan(&u.Topics, &u.Messages, &u.Bytes, &u.Subscriptions, &u.Devices, &u.Users, &u.Wakes)
	return u, failed(ctx, "usage", err)
}

// SessionDevices implements storage.Looks.
func (s *Store) SessionDevices(ctx context.Context, session, afterUser, afterID string, limit int) ([]storage.Device, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	out, err := query(ctx, s, each(func(row pgx.CollectableRow) (storage.Device, error) {
		d := storage.Device{Session: session}
		err := row.Scan(&d.User, &d.ID, &d.Platform, &d.CreatedAt, &d.UpdatedAt)
		return d, err
	}), `
		SELECT user_id, device_id, platform, created_at, updated_at FROM device_tokens
		WHERE session = $1 AND (user_id, device_id) > ($2, $3) ORDER BY user_id, device_id LIMIT $4`, session, afterUser, afterID, limit)
	return out, failed(ctx, "session devices", err)
}

// Find implements storage.Looks. The ids of the dedupe window are found by their index; a message may outlive its id,
// so the session's messages are looked through as well.
func (s *Store) Find(ctx context.Context, session, topic, messageID string) ([]storage.Found, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	key := messageKey(messageID)
	type hit struct {
		storage.Found
		topic int64
	}
	hits, err := query(ctx, s, each(func(row pgx.CollectableRow) (h hit, err error) {
		known, stored, expires := new(time.Time), new(time.Time), new(time.Time)
		var stamp *int64
		var origin *string
		var size *int
		err = row.Scan(&h.topic, &h.Topic, &h.Seq, &known, &stored, &expires, &stamp, &origin, &size, &h.Wake)
		if known != nil {
			h.Known = *known
		}
		if h.Stored = stored != nil; h.Stored {
			h.StoredAt, h.ExpiresAt, h.Timestamp, h.Origin, h.Size = *stored, *expires, *stamp, storage.Subscriber(*origin), *size
		}
		return h, err
	}), `
		WITH at AS (
			SELECT id, name FROM topics WHERE session = $1 AND ($2 = '' OR name = $2)
		), hit AS (
			SELECT at.id, at.name, i.seq FROM at JOIN message_ids i ON i.topic = at.id AND i.id = $3
			UNION
			SELECT at.id, at.name, m.seq FROM at JOIN messages m ON m.topic = at.id AND m.message_id = $4
			ORDER BY 2, 3 LIMIT $5
		)
		SELECT h.id, h.name, h.seq, i.stored_at, m.stored_at, m.expires_at, m.timestamp, m.origin, octet_length(m.data),
			EXISTS (SELECT FROM push_outbox p WHERE p.topic = h.id AND p.seq = h.seq)
		FROM hit h
		LEFT JOIN message_ids i ON i.topic = h.id AND i.id = $3 AND i.seq = h.seq
		LEFT JOIN messages m ON m.topic = h.id AND m.seq = h.seq
		ORDER BY h.name, h.seq`, session, topic, key[:], messageID, storage.FoundTopics)
	out := make([]storage.Found, 0, len(hits))
	for _, h := range hits {
		if err == nil {
			err = s.positions(ctx, h.topic, &h.Found)
		}
		out = append(out, h.Found)
	}
	return out, failed(ctx, "find", err)
}

// positions fills in who has settled what was found.
func (s *Store) positions(ctx context.Context, topic int64, f *storage.Found) (err error) {
	err = s.row(ctx, `
		SELECT count(*), count(*) FILTER (WHERE settled @> $2::bigint) FROM subscriptions WHERE topic = $1`, topic, int64(f.Seq),
	).Scan(&f.Subscriptions, &f.Settled)
	if err != nil {
		return err
	}
	f.Positions, err = query(ctx, s, each(pgx.RowToStructByPos[storage.Position]), `
		SELECT subscriber, settled @> $2::bigint FROM subscriptions WHERE topic = $1 ORDER BY 2, 1 LIMIT $3`,
		topic, int64(f.Seq), storage.FoundPositions)
	return err
}
