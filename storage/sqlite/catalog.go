package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/fastport/fastport/storage"
)

// sessionColumns are in the order of scanSession.
const sessionColumns = `id, name, password_hash, secret_hash, retry_interval, max_retry_limit, message_expiry, expires_at,
	subscription_expiry, suite, key_check, fcm_key, fcm_config, suspended, version, created_at`

func scanSession(r interface{ Scan(...any) error }) (s storage.Session, err error) {
	var expires, created int64
	err = r.Scan(&s.ID, &s.Name, &s.PasswordHash, &s.SecretHash, &s.RetryInterval, &s.MaxRetryLimit, &s.MessageExpiry, &expires,
		&s.SubscriptionExpiry, &s.Suite, &s.KeyCheck, &s.FCMKey, &s.FCMConfig, &s.Suspended, &s.Version, &created)
	s.ExpiresAt, s.CreatedAt = fromMilli(expires), fromMilli(created)
	return s, err
}

// CreateSession implements storage.Catalog.
func (s *Store) CreateSession(ctx context.Context, in storage.Session) error {
	err := s.writer.do(ctx, 1, func(db *conn) error {
		err := db.exec(`INSERT INTO sessions (`+sessionColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)`,
			in.ID, in.Name, in.PasswordHash, in.SecretHash, int64(in.RetryInterval), in.MaxRetryLimit, int64(in.MessageExpiry),
			toMilli(in.ExpiresAt), int64(in.SubscriptionExpiry), in.Suite, in.KeyCheck, in.FCMKey, in.FCMConfig, in.Suspended, s.clock())
		if err != nil {
			return err
		}
		return db.exec(`INSERT INTO usage (session) VALUES (?)`, in.ID)
	})
	if isTaken(err) {
		return storage.ErrExists
	}
	return fail("create session", err)
}

// Session implements storage.Catalog.
func (s *Store) Session(ctx context.Context, name string) (storage.Session, error) {
	ss, err := scanSession(s.reader.row(ctx, `SELECT `+sessionColumns+` FROM sessions WHERE name = ?`, name))
	if errors.Is(err, sql.ErrNoRows) {
		return storage.Session{}, storage.ErrNotFound
	}
	return ss, fail("session", err)
}

// Sessions implements storage.Catalog.
func (s *Store) Sessions(ctx context.Context, match, after string, limit int) ([]storage.Session, error) {
	var out []storage.Session
	err := s.reader.rows(ctx, func(r *sql.Rows) error {
		ss, err := scanSession(r)
		out = append(out, ss)
		return err
	}, `SELECT `+sessionColumns+` FROM sessions WHERE name > ? AND instr(lower(name), lower(?)) > 0 ORDER BY name LIMIT ?`, after, match, limit)
	return out, fail("sessions", err)
}

// States implements storage.Catalog.
func (s *Store) States(ctx context.Context, ids []string) ([]storage.State, error) {
	found := make(map[string]storage.State, len(ids))
	err := s.reader.rows(ctx, func(r *sql.Rows) error {
		var id string
		var state storage.State
		err := r.Scan(&id, &state.Version, &state.Suspended)
		found[id] = state
		return err
	}, `SELECT id, version, suspended FROM sessions WHERE id IN (SELECT value FROM json_each(?))`, list(ids))
	out := make([]storage.State, len(ids))
	for i, id := range ids {
		out[i] = found[id]
	}
	return out, fail("states", err)
}

// SuspendSession implements storage.Catalog.
func (s *Store) SuspendSession(ctx context.Context, name string, suspended bool) (ss storage.Session, err error) {
	found := false
	err = s.writer.do(ctx, 1, func(db *conn) (err error) {
		ss, err = scanSession(db.row(`UPDATE sessions SET suspended = ?, version = version + 1 WHERE name = ?
			RETURNING `+sessionColumns, suspended, name))
		if found = err == nil; errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err == nil && !found {
		return storage.Session{}, storage.ErrNotFound
	}
	return ss, fail("suspend session", err)
}

// DropSession implements storage.Catalog. Its messages are out of reach at once and leave the disk with the next sweep.
func (s *Store) DropSession(ctx context.Context, name string) (ss storage.Session, err error) {
	found := false
	var topics []int64
	err = s.writer.do(ctx, 1, func(db *conn) (err error) {
		ss, err = scanSession(db.row(`SELECT `+sessionColumns+` FROM sessions WHERE name = ?`, name))
		if found = err == nil; errors.Is(err, sql.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		topics, err = s.dropSession(db, ss.ID)
		return err
	})
	s.dirty.add(topics...)
	if err == nil && !found {
		return storage.Session{}, storage.ErrNotFound
	}
	s.scrub.Store(true)
	return ss, fail("drop session", err)
}

// dropSession deletes a session with all but its messages, and gives the topics whose messages are left over.
func (s *Store) dropSession(db *conn, id string) (topics []int64, err error) {
	err = db.rows(func(r *sql.Rows) error {
		var topic int64
		err := r.Scan(&topic)
		topics = append(topics, topic)
		return err
	}, `SELECT id FROM topics WHERE session = ? AND head > 0`, id)
	if err != nil {
		return nil, err
	}
	if err := db.exec(`DELETE FROM sessions WHERE id = ?`, id); err != nil { // and by reference what is its own
		return nil, err
	}
	clear(s.topics)
	return append(topics, s.journal.leave(id)...), nil
}

// Totals implements storage.Catalog.
func (s *Store) Totals(ctx context.Context) (t storage.Totals, err error) {
	err = s.reader.row(ctx, `SELECT count(*), coalesce(sum(messages), 0), coalesce(sum(bytes), 0),
		(SELECT coalesce(sum(subscribers), 0) FROM topics), (SELECT count(*) FROM push_outbox)
		FROM usage`).Scan(&t.Sessions, &t.Messages, &t.Bytes, &t.Subscriptions, &t.Wakes)
	recent := s.journal.total("")
	t.Messages += recent.messages
	t.Bytes += recent.bytes
	return t, fail("totals", err)
}
