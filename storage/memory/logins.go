package memory

import (
	"context"
	"slices"
	"time"

	"github.com/fastport/fastport/storage"
)

// SaveLogin implements storage.Logins.
func (s *Store) SaveLogin(_ context.Context, tokenHash []byte, user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.logins[string(tokenHash)] != nil {
		return storage.ErrExists
	}
	now := s.now()
	s.logins[string(tokenHash)] = &storage.Login{TokenHash: slices.Clone(tokenHash), User: user, CreatedAt: now, SeenAt: now}
	return nil
}

// Login implements storage.Logins.
func (s *Store) Login(_ context.Context, tokenHash []byte, idle, most time.Duration) (storage.Login, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, l := s.now(), s.logins[string(tokenHash)]
	if l == nil || expired(l.SeenAt.Add(idle), now) || expired(l.CreatedAt.Add(most), now) {
		return storage.Login{}, storage.ErrNotFound
	}
	l.SeenAt = now
	return *l, nil
}

// DeleteLogins implements storage.Logins.
func (s *Store) DeleteLogins(_ context.Context, tokenHash []byte, user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if tokenHash != nil {
		delete(s.logins, string(tokenHash))
		return nil
	}
	for key, l := range s.logins {
		if l.User == user {
			delete(s.logins, key)
		}
	}
	return nil
}
