package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// SaveDevice implements storage.Devices.
func (s *Store) SaveDevice(ctx context.Context, d storage.Device) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	var outcome int16
	err := s.row(ctx, `SELECT save_device($1, $2, $3, $4, $5, $6)`,
		d.Session, d.User, d.ID, d.Platform, d.Token, protocol.MaxDevices).Scan(&outcome)
	switch {
	case err != nil:
		return failed(ctx, "save device", err)
	case outcome == noSession:
		return storage.ErrNoSession
	case outcome == overQuota:
		return storage.ErrQuota
	}
	return nil
}

// DeleteDevice implements storage.Devices.
func (s *Store) DeleteDevice(ctx context.Context, session, user, id string, token []byte) (bool, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	tag, err := s.exec(ctx, `
		DELETE FROM device_tokens WHERE session = $1 AND user_id = $2 AND device_id = $3 AND ($4::bytea IS NULL OR token = $4)`,
		session, user, id, token)
	return tag.RowsAffected() > 0, failed(ctx, "delete device", err)
}

// Devices implements storage.Devices.
func (s *Store) Devices(ctx context.Context, session string, users []string) ([]storage.Device, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	out, err := query(ctx, s, each(func(row pgx.CollectableRow) (storage.Device, error) {
		d := storage.Device{Session: session}
		err := row.Scan(&d.User, &d.ID, &d.Platform, &d.Token, &d.CreatedAt, &d.UpdatedAt)
		return d, err
	}), `
		SELECT user_id, device_id, platform, token, created_at, updated_at FROM device_tokens
		WHERE session = $1 AND user_id = ANY ($2) ORDER BY user_id, device_id`, session, users)
	return out, failed(ctx, "devices", err)
}

// Own implements storage.Devices.
func (s *Store) Own(ctx context.Context, session string, sub storage.Subscriber, user string) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	tag, err := s.exec(ctx, `
		INSERT INTO owners AS o (session, subscriber, user_id)
		SELECT s.id, $2, $3 FROM sessions s
		WHERE s.id = $1 AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp())
		FOR KEY SHARE
		ON CONFLICT (session, subscriber) DO UPDATE SET user_id = excluded.user_id`, session, sub, user)
	if err == nil && tag.RowsAffected() == 0 {
		return storage.ErrNoSession
	}
	return failed(ctx, "own", err)
}

// ClaimWakes implements storage.Outbox. A row that another node is claiming is passed over; one whose message is over
// waits for the sweep.
func (s *Store) ClaimWakes(ctx context.Context, limit int, lease time.Duration, busy []string) ([]storage.Wake, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	if busy == nil {
		busy = []string{} // nil would be NULL
	}
	out, err := query(ctx, s, each(func(row pgx.CollectableRow) (w storage.Wake, err error) {
		var age, left int64
		err = row.Scan(&w.Topic.Session, &w.Topic.Name, &w.Seq, &w.SessionName, &w.Config, &w.MessageID, &w.Timestamp, &w.Data,
			&age, &left, &w.Attempts)
		w.Age, w.Left = time.Duration(age)*time.Microsecond, time.Duration(left)*time.Microsecond
		return w, err
	}), `
		WITH due AS (
			SELECT p.topic, p.seq, p.due_at FROM push_outbox p JOIN topics t ON t.id = p.topic
			WHERE p.due_at <= clock_timestamp() AND t.session <> ALL ($3)
			ORDER BY p.due_at
			LIMIT $1
			FOR UPDATE OF p SKIP LOCKED
		), claimed AS (
			UPDATE push_outbox p SET due_at = clock_timestamp() + $2, attempts = p.attempts + 1
			FROM due d WHERE p.topic = d.topic AND p.seq = d.seq
			RETURNING p.topic, p.seq, p.attempts - 1 AS attempts, d.due_at
		)
		SELECT t.session, t.name, c.seq, s.name, s.fcm_config, m.message_id, m.timestamp, m.data,
			(extract(epoch FROM n.at - m.stored_at) * 1000000)::bigint, (extract(epoch FROM m.expires_at - n.at) * 1000000)::bigint,
			c.attempts
		FROM claimed c
		JOIN topics t ON t.id = c.topic
		JOIN sessions s ON s.id = t.session
		JOIN messages m ON m.topic = c.topic AND m.seq = c.seq
		CROSS JOIN (SELECT clock_timestamp() AS at) n
		WHERE m.expires_at > n.at
		ORDER BY c.due_at`, limit, lease, busy)
	return out, failed(ctx, "claim wakes", err)
}

// Owed implements storage.Outbox.
func (s *Store) Owed(ctx context.Context, at storage.Topic, seqs []uint64, after storage.Subscriber, limit int) ([]storage.Owing, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	out, err := query(ctx, s, each(func(row pgx.CollectableRow) (o storage.Owing, err error) {
		err = row.Scan(&o.Subscriber, &o.User, &o.Seq)
		return o, err
	}), `
		SELECT s.subscriber, coalesce(o.user_id, substr(s.subscriber, 3)), q.seq
		FROM topics t
		JOIN subscriptions s ON s.topic = t.id
		LEFT JOIN owners o ON o.session = s.session AND o.subscriber = s.subscriber
		CROSS JOIN LATERAL (SELECT max(w) AS seq FROM unnest($3::bigint[]) w WHERE w > s.woken AND NOT s.settled @> w) q
		WHERE t.session = $1 AND t.name = $2 AND s.subscriber > $4 AND q.seq IS NOT NULL
			AND (o.user_id IS NOT NULL OR left(s.subscriber, 2) = 'u:')
		ORDER BY s.subscriber
		LIMIT $5`, at.Session, at.Name, numbers(seqs), after, limit)
	return out, failed(ctx, "owed", err)
}

// numbers is seqs as Postgres counts.
func numbers(seqs []uint64) []int64 {
	out := make([]int64, len(seqs))
	for i, seq := range seqs {
		out[i] = int64(seq)
	}
	return out
}

// Woken implements storage.Outbox.
func (s *Store) Woken(ctx context.Context, at storage.Topic, list []storage.Owing) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	subs, seqs := make([]string, len(list)), make([]int64, len(list))
	for i, o := range list {
		subs[i], seqs[i] = string(o.Subscriber), int64(o.Seq)
	}
	_, err := s.exec(ctx, `
		WITH own AS (
			SELECT s.topic, s.subscriber, w.seq
			FROM unnest($3::text[], $4::bigint[]) w (subscriber, seq)
			JOIN topics t ON t.session = $1 AND t.name = $2
			JOIN subscriptions s ON s.topic = t.id AND s.subscriber = w.subscriber
			ORDER BY s.topic, s.subscriber
			FOR NO KEY UPDATE OF s
		)
		UPDATE subscriptions s SET woken = greatest(s.woken, o.seq) FROM own o WHERE s.topic = o.topic AND s.subscriber = o.subscriber`,
		at.Session, at.Name, subs, seqs)
	return failed(ctx, "woken", err)
}

// ofTopic picks rows of the outbox; its parameters are session, name and seqs.
const ofTopic = ` WHERE topic = (SELECT id FROM topics WHERE session = $1 AND name = $2) AND seq = ANY ($3)`

// PutOff implements storage.Outbox.
func (s *Store) PutOff(ctx context.Context, at storage.Topic, seqs []uint64, wait time.Duration) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	_, err := s.exec(ctx, `UPDATE push_outbox SET due_at = clock_timestamp() + $4`+ofTopic, at.Session, at.Name, numbers(seqs), wait)
	return failed(ctx, "put off", err)
}

// Done implements storage.Outbox.
func (s *Store) Done(ctx context.Context, at storage.Topic, seqs []uint64) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	_, err := s.exec(ctx, `DELETE FROM push_outbox`+ofTopic, at.Session, at.Name, numbers(seqs))
	return failed(ctx, "done", err)
}
