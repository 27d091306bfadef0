package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fastport/fastport/storage"
)

// sessionColumns are those of scanSession, in its order.
const sessionColumns = `id, name, password_hash, secret_hash, retry_interval, max_retry_limit, message_expiry, expires_at,
	subscription_expiry, suite, key_check, fcm_key, fcm_config, suspended, version, created_at`

func scanSession(row pgx.CollectableRow) (ss storage.Session, err error) {
	var expires *time.Time
	err = row.Scan(&ss.ID, &ss.Name, &ss.PasswordHash, &ss.SecretHash, &ss.RetryInterval, &ss.MaxRetryLimit, &ss.MessageExpiry,
		&expires, &ss.SubscriptionExpiry, &ss.Suite, &ss.KeyCheck, &ss.FCMKey, &ss.FCMConfig, &ss.Suspended, &ss.Version,
		&ss.CreatedAt)
	if expires != nil {
		ss.ExpiresAt = *expires
	}
	return ss, err
}

// session runs a statement that answers with one session or none.
func (s *Store) session(ctx context.Context, doing, sql string, args ...any) (storage.Session, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	ss, err := query(ctx, s, one(scanSession), sql, args...)
	return ss, failed(ctx, doing, err)
}

// CreateSession implements storage.Catalog.
func (s *Store) CreateSession(ctx context.Context, ss storage.Session) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	var expires *time.Time
	if !ss.ExpiresAt.IsZero() {
		expires = &ss.ExpiresAt
	}
	_, err := s.exec(ctx, `
		INSERT INTO sessions (id, name, password_hash, secret_hash, retry_interval, max_retry_limit, message_expiry, expires_at,
			subscription_expiry, suite, key_check, fcm_key, fcm_config, suspended)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		ss.ID, ss.Name, ss.PasswordHash, ss.SecretHash, ss.RetryInterval, ss.MaxRetryLimit, ss.MessageExpiry, expires,
		ss.SubscriptionExpiry, ss.Suite, ss.KeyCheck, ss.FCMKey, ss.FCMConfig, ss.Suspended)
	return failed(ctx, "create session", err)
}

// Session implements storage.Catalog.
func (s *Store) Session(ctx context.Context, name string) (storage.Session, error) {
	return s.session(ctx, "session", "SELECT "+sessionColumns+" FROM sessions WHERE name = $1", name)
}

// Sessions implements storage.Catalog.
func (s *Store) Sessions(ctx context.Context, match, after string, limit int) ([]storage.Session, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	out, err := query(ctx, s, each(scanSession),
		"SELECT "+sessionColumns+" FROM sessions WHERE name > $1 AND ($2 = '' OR strpos(lower(name), lower($2)) > 0) ORDER BY name LIMIT $3",
		after, match, limit)
	return out, failed(ctx, "sessions", err)
}

// States implements storage.Catalog.
func (s *Store) States(ctx context.Context, ids []string) ([]storage.State, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	out, err := query(ctx, s, each(pgx.RowToStructByPos[storage.State]), `
		SELECT coalesce(s.version, 0), coalesce(s.suspended, false)
		FROM unnest($1::text[]) WITH ORDINALITY w (id, n) LEFT JOIN sessions s ON s.id = w.id ORDER BY w.n`, ids)
	return out, failed(ctx, "states", err)
}

// SuspendSession implements storage.Catalog.
func (s *Store) SuspendSession(ctx context.Context, name string, suspended bool) (storage.Session, error) {
	return s.session(ctx, "suspend session", `
		UPDATE sessions SET suspended = $2, version = version + 1 WHERE name = $1 RETURNING `+sessionColumns, name, suspended)
}

// DropSession implements storage.Catalog.
func (s *Store) DropSession(ctx context.Context, name string) (storage.Session, error) {
	return s.session(ctx, "drop session", `
		SELECT `+sessionColumns+` FROM drop_session((SELECT id FROM sessions WHERE name = $1), false)`, name)
}

// Totals implements storage.Catalog.
func (s *Store) Totals(ctx context.Context) (t storage.Totals, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	err = s.row(ctx, `
		SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM subscriptions),
			(SELECT count(*) FROM push_outbox), coalesce(sum(stored), 0)::bigint, coalesce(sum(bytes), 0)::bigint
		FROM counters`).Scan(&t.Sessions, &t.Subscriptions, &t.Wakes, &t.Messages, &t.Bytes)
	return t, failed(ctx, "totals", err)
}
