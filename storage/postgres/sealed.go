package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/fastport/fastport/storage"
)

// ResealSession implements storage.Sealed.
func (s *Store) ResealSession(ctx context.Context, id string, fcmKey, fcmConfig []byte) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	tag, err := s.exec(ctx, `UPDATE sessions SET fcm_key = $2, fcm_config = $3 WHERE id = $1`, id, fcmKey, fcmConfig)
	if err == nil && tag.RowsAffected() == 0 {
		return storage.ErrNotFound
	}
	return failed(ctx, "reseal session", err)
}

// EveryDevice implements storage.Sealed.
func (s *Store) EveryDevice(ctx context.Context, after storage.Device, limit int) ([]storage.Device, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	out, err := query(ctx, s, each(func(row pgx.CollectableRow) (d storage.Device, err error) {
		err = row.Scan(&d.Session, &d.User, &d.ID, &d.Platform, &d.Token, &d.CreatedAt, &d.UpdatedAt)
		return d, err
	}), `
		SELECT session, user_id, device_id, platform, token, created_at, updated_at FROM device_tokens
		WHERE (session, user_id, device_id) > ($1, $2, $3) ORDER BY session, user_id, device_id LIMIT $4`,
		after.Session, after.User, after.ID, limit)
	return out, failed(ctx, "every device", err)
}

// ResealDevice implements storage.Sealed.
func (s *Store) ResealDevice(ctx context.Context, d storage.Device, token []byte) (bool, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	tag, err := s.exec(ctx, `
		UPDATE device_tokens SET token = $5 WHERE session = $1 AND user_id = $2 AND device_id = $3 AND token = $4`,
		d.Session, d.User, d.ID, d.Token, token)
	return tag.RowsAffected() > 0, failed(ctx, "reseal device", err)
}
