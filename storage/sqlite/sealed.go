package sqlite

import (
	"context"
	"database/sql"

	"github.com/fastport/fastport/storage"
)

// ResealSession implements storage.Sealed.
func (s *Store) ResealSession(ctx context.Context, id string, fcmKey, fcmConfig []byte) error {
	n, err := s.reseal(ctx, `UPDATE sessions SET fcm_key = ?2, fcm_config = ?3 WHERE id = ?1`, id, fcmKey, fcmConfig)
	if err == nil && n == 0 {
		return storage.ErrNotFound
	}
	return fail("reseal session", err)
}

// EveryDevice implements storage.Sealed.
func (s *Store) EveryDevice(ctx context.Context, after storage.Device, limit int) ([]storage.Device, error) {
	var out []storage.Device
	err := s.reader.rows(ctx, func(r *sql.Rows) error {
		var d storage.Device
		var created, updated int64
		err := r.Scan(&d.Session, &d.User, &d.ID, &d.Platform, &d.Token, &created, &updated)
		d.CreatedAt, d.UpdatedAt = fromMilli(created), fromMilli(updated)
		out = append(out, d)
		return err
	}, `SELECT session, user_id, device_id, platform, token, created_at, updated_at FROM device_tokens
		WHERE (session, user_id, device_id) > (?, ?, ?) ORDER BY session, user_id, device_id LIMIT ?`, after.Session, after.User, after.ID, limit)
	return out, fail("every device", err)
}

// ResealDevice implements storage.Sealed.
func (s *Store) ResealDevice(ctx context.Context, d storage.Device, token []byte) (bool, error) {
	n, err := s.reseal(ctx, `UPDATE device_tokens SET token = ?5 WHERE session = ?1 AND user_id = ?2 AND device_id = ?3 AND token = ?4`,
		d.Session, d.User, d.ID, d.Token, token)
	return n > 0, fail("reseal device", err)
}

// reseal runs one update. What it replaced leaves the file with the next sweep.
func (s *Store) reseal(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = s.writer.do(ctx, 1, func(db *conn) (err error) {
		n, err = db.change(query, args...)
		return err
	})
	if n > 0 {
		s.scrub.Store(true)
	}
	return n, err
}
