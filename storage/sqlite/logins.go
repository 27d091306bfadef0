package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/fastport/fastport/storage"
)

// SaveLogin implements storage.Logins.
func (s *Store) SaveLogin(ctx context.Context, tokenHash []byte, user string) error {
	err := s.writer.do(ctx, 1, func(db *conn) error {
		now := s.clock()
		return db.exec(`INSERT INTO logins (token_hash, username, created_at, seen_at) VALUES (?, ?, ?, ?)`, tokenHash, user, now, now)
	})
	if isTaken(err) {
		return storage.ErrExists
	}
	return fail("save login", err)
}

// Login implements storage.Logins.
func (s *Store) Login(ctx context.Context, tokenHash []byte, idle, most time.Duration) (storage.Login, error) {
	l := storage.Login{TokenHash: tokenHash}
	found := false
	err := s.writer.do(ctx, 1, func(db *conn) error {
		now := s.clock()
		var created, seen int64
		err := db.row(`UPDATE logins SET seen_at = ? WHERE token_hash = ? AND seen_at > ? AND created_at > ?
			RETURNING username, created_at, seen_at`, now, tokenHash, now-millis(idle), now-millis(most)).Scan(&l.User, &created, &seen)
		if found = err == nil; errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		l.CreatedAt, l.SeenAt = fromMilli(created), fromMilli(seen)
		return err
	})
	if err == nil && !found {
		return storage.Login{}, storage.ErrNotFound
	}
	return l, fail("login", err)
}

// DeleteLogins implements storage.Logins.
func (s *Store) DeleteLogins(ctx context.Context, tokenHash []byte, user string) error {
	err := s.writer.do(ctx, 1, func(db *conn) error {
		if tokenHash != nil {
			return db.exec(`DELETE FROM logins WHERE token_hash = ?`, tokenHash)
		}
		return db.exec(`DELETE FROM logins WHERE username = ?`, user)
	})
	return fail("delete logins", err)
}
