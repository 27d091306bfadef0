package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// SaveDevice implements storage.Devices.
func (s *Store) SaveDevice(ctx context.Context, d storage.Device) error {
	var refused error
	err := s.writer.do(ctx, 1, func(db *conn) (err error) {
		refused, err = s.saveDevice(db, d)
		return err
	})
	if err == nil && refused != nil {
		return refused
	}
	return fail("save device", err)
}

func (s *Store) saveDevice(db *conn, d storage.Device) (refused, err error) {
	now := s.clock()
	if live, err := alive(db, d.Session, now); err != nil || !live {
		return storage.ErrNoSession, err
	}
	n, err := db.change(`UPDATE device_tokens SET platform = ?, token = ?, updated_at = ? WHERE session = ? AND user_id = ? AND device_id = ?`,
		d.Platform, d.Token, now, d.Session, d.User, d.ID)
	if err != nil || n > 0 {
		return nil, err
	}
	var has int
	err = db.row(`SELECT count(*) FROM device_tokens WHERE session = ? AND user_id = ?`, d.Session, d.User).Scan(&has)
	if err != nil {
		return nil, err
	}
	if has >= protocol.MaxDevices {
		return storage.ErrQuota, nil
	}
	return nil, db.exec(`INSERT INTO device_tokens (session, user_id, device_id, platform, token, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		d.Session, d.User, d.ID, d.Platform, d.Token, now, now)
}

// alive reports whether things may still be added to a session.
func alive(db *conn, session string, now int64) (bool, error) {
	var expires int64
	err := db.row(`SELECT expires_at FROM sessions WHERE id = ?`, session).Scan(&expires)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return expires == 0 || now < expires, err
}

// DeleteDevice implements storage.Devices.
func (s *Store) DeleteDevice(ctx context.Context, session, user, id string, token []byte) (bool, error) {
	var n int64
	err := s.writer.do(ctx, 1, func(db *conn) (err error) {
		n, err = db.change(`DELETE FROM device_tokens WHERE session = ?1 AND user_id = ?2 AND device_id = ?3 AND (?4 IS NULL OR token = ?4)`,
			session, user, id, token)
		return err
	})
	if n > 0 {
		s.scrub.Store(true)
	}
	return n > 0, fail("delete device", err)
}

// Devices implements storage.Devices.
func (s *Store) Devices(ctx context.Context, session string, users []string) ([]storage.Device, error) {
	var out []storage.Device
	err := s.reader.rows(ctx, func(r *sql.Rows) error {
		d := storage.Device{Session: session}
		var created, updated int64
		err := r.Scan(&d.User, &d.ID, &d.Platform, &d.Token, &created, &updated)
		d.CreatedAt, d.UpdatedAt = fromMilli(created), fromMilli(updated)
		out = append(out, d)
		return err
	}, `SELECT user_id, device_id, platform, token, created_at, updated_at FROM device_tokens
		WHERE session = ? AND user_id IN (SELECT value FROM json_each(?)) ORDER BY user_id, device_id`, session, list(users))
	return out, fail("devices", err)
}

// list is text values as one parameter.
func list(values []string) string {
	if len(values) == 0 {
		return "[]"
	}
	text, _ := json.Marshal(values) // strings always can be
	return string(text)
}

// Own implements storage.Devices.
func (s *Store) Own(ctx context.Context, session string, sub storage.Subscriber, user string) error {
	live := false
	err := s.writer.do(ctx, 1, func(db *conn) (err error) {
		if live, err = alive(db, session, s.clock()); err != nil || !live {
			return err
		}
		return db.exec(`INSERT INTO owners (session, subscriber, user_id) VALUES (?, ?, ?)
			ON CONFLICT (session, subscriber) DO UPDATE SET user_id = excluded.user_id`, session, string(sub), user)
	})
	if err == nil && !live {
		return storage.ErrNoSession
	}
	return fail("own", err)
}

// ClaimWakes implements storage.Outbox. It looks with a reading connection first: most looks find nothing, and a write
// would be a sync.
func (s *Store) ClaimWakes(ctx context.Context, limit int, lease time.Duration, busy []string) (out []storage.Wake, err error) {
	const (
		from = ` FROM push_outbox p JOIN messages m ON m.topic = p.topic AND m.seq = p.seq `
		due  = ` WHERE p.due <= ?1 AND m.expires_at > ?1 AND p.session NOT IN (SELECT value FROM json_each(?2))`
		rows = `SELECT p.topic, t.name, p.seq, p.session, s.name, s.fcm_config, m.message_id, m.timestamp, m.data,
			m.stored_at, m.expires_at, p.attempts` + from + `JOIN sessions s ON s.id = p.session JOIN topics t ON t.id = p.topic` +
			due + ` ORDER BY p.due LIMIT ?3`
	)
	if err := s.moveWakes(ctx); err != nil {
		return nil, fail("claim wakes: journal", err)
	}
	others := list(busy)
	var any int
	err = s.reader.row(ctx, `SELECT 1`+from+due+` LIMIT 1`, s.clock(), others).Scan(&any)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		err = s.writer.do(ctx, limit, func(db *conn) error {
			out, err = s.claimWakes(db, rows, lease, s.clock(), others, limit)
			return err
		})
	}
	return out, fail("claim wakes", err)
}

// moveWakes moves what is due from the journal to where the outbox finds it.
func (s *Store) moveWakes(ctx context.Context) error {
	now := s.clock()
	for s.journal.wakeDue(now, bite) > 0 {
		err := s.writer.do(ctx, bite, func(db *conn) error { return s.move(db, s.journal.wakeDue(now, bite)) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) claimWakes(db *conn, query string, lease time.Duration, now int64, others string, limit int) ([]storage.Wake, error) {
	var out []storage.Wake
	var topics []int64
	err := db.rows(func(r *sql.Rows) error {
		var w storage.Wake
		var topic, stored, expires int64
		err := r.Scan(&topic, &w.Topic.Name, &w.Seq, &w.Topic.Session, &w.SessionName, &w.Config, &w.MessageID, &w.Timestamp, &w.Data,
			&stored, &expires, &w.Attempts)
		w.Age, w.Left = time.Duration(now-stored)*time.Millisecond, time.Duration(expires-now)*time.Millisecond
		topics, out = append(topics, topic), append(out, w)
		return err
	}, query, now, others, limit)
	if err != nil {
		return nil, err
	}
	for i, w := range out {
		err := db.exec(`UPDATE push_outbox SET due = ?, attempts = attempts + 1 WHERE topic = ? AND seq = ?`, now+millis(lease), topics[i], int64(w.Seq))
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Owed implements storage.Outbox.
func (s *Store) Owed(ctx context.Context, at storage.Topic, seqs []uint64, after storage.Subscriber, limit int) ([]storage.Owing, error) {
	var out []storage.Owing
	err := s.reader.rows(ctx, func(r *sql.Rows) error {
		var o storage.Owing
		var settled sql.RawBytes
		var woken uint64
		if err := r.Scan(&o.Subscriber, &o.User, &settled, &woken); err != nil {
			return err
		}
		ranges, err := storage.ParseRanges(settled)
		if err != nil {
			return err
		}
		for _, seq := range seqs {
			if seq > woken && !ranges.Contains(seq) {
				o.Seq = max(o.Seq, seq)
			}
		}
		if o.Seq > 0 {
			out = append(out, o)
		}
		if len(out) >= limit {
			return errStop
		}
		return nil
	}, `SELECT s.subscriber, coalesce(o.user_id, substr(s.subscriber, 3)), s.settled, s.woken
		FROM topics t JOIN subscriptions s ON s.topic = t.id
		LEFT JOIN owners o ON o.session = s.session AND o.subscriber = s.subscriber
		WHERE t.session = ? AND t.name = ? AND s.subscriber > ? AND (o.user_id IS NOT NULL OR substr(s.subscriber, 1, 2) = 'u:')
		ORDER BY s.subscriber`, at.Session, at.Name, string(after))
	return out, fail("owed", err)
}

// Woken implements storage.Outbox.
func (s *Store) Woken(ctx context.Context, at storage.Topic, list []storage.Owing) error {
	return s.outbox(ctx, "woken", at, len(list), func(db *conn, topic int64, i int) error {
		return db.exec(`UPDATE subscriptions SET woken = max(woken, ?) WHERE topic = ? AND subscriber = ?`,
			int64(list[i].Seq), topic, string(list[i].Subscriber))
	})
}

// PutOff implements storage.Outbox.
func (s *Store) PutOff(ctx context.Context, at storage.Topic, seqs []uint64, wait time.Duration) error {
	return s.outbox(ctx, "put off", at, len(seqs), func(db *conn, topic int64, i int) error {
		return db.exec(`UPDATE push_outbox SET due = ? WHERE topic = ? AND seq = ?`, s.clock()+millis(wait), topic, int64(seqs[i]))
	})
}

// Done implements storage.Outbox.
func (s *Store) Done(ctx context.Context, at storage.Topic, seqs []uint64) error {
	return s.outbox(ctx, "done", at, len(seqs), func(db *conn, topic int64, i int) error {
		return db.exec(`DELETE FROM push_outbox WHERE topic = ? AND seq = ?`, topic, int64(seqs[i]))
	})
}

// outbox does something n times for a topic, in one transaction.
func (s *Store) outbox(ctx context.Context, doing string, at storage.Topic, n int, do func(db *conn, topic int64, i int) error) error {
	if n == 0 {
		return nil
	}
	err := s.writer.do(ctx, n, func(db *conn) error {
		var topic int64
		err := db.row(`SELECT id FROM topics WHERE session = ? AND name = ?`, at.Session, at.Name).Scan(&topic)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		for i := 0; i < n && err == nil; i++ {
			err = do(db, topic, i)
		}
		return err
	})
	return fail(doing, err)
}
