package postgres

import (
	"context"
	"time"

	"github.com/fastport/fastport/storage"
)

// SaveLogin implements storage.Logins.
func (s *Store) SaveLogin(ctx context.Context, tokenHash []byte, user string) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	_, err := s.exec(ctx, "INSERT INTO admin_logins (token_hash, username) VALUES ($1, $2)", tokenHash, user)
	return failed(ctx, "save login", err)
}

// Login implements storage.Logins.
func (s *Store) Login(ctx context.Context, tokenHash []byte, idle, most time.Duration) (l storage.Login, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	err = s.row(ctx, `
		UPDATE admin_logins SET seen_at = clock_timestamp()
		WHERE token_hash = $1 AND seen_at > clock_timestamp() - $2::interval AND created_at > clock_timestamp() - $3::interval
		RETURNING token_hash, username, created_at, seen_at`, tokenHash, idle, most,
	).Scan(&l.TokenHash, &l.User, &l.CreatedAt, &l.SeenAt)
	return l, failed(ctx, "login", err)
}

// DeleteLogins implements storage.Logins.
func (s *Store) DeleteLogins(ctx context.Context, tokenHash []byte, user string) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	_, err := s.exec(ctx, `
		DELETE FROM admin_logins WHERE CASE WHEN $1::bytea IS NULL THEN username = $2 ELSE token_hash = $1 END`, tokenHash, user)
	return failed(ctx, "delete logins", err)
}
