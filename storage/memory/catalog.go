package memory

import (
	"context"
	"slices"
	"strings"

	"github.com/fastport/fastport/storage"
)

// CreateSession implements storage.Catalog.
func (s *Store) CreateSession(_ context.Context, in storage.Session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names[in.Name] != nil || s.sessions[in.ID] != nil {
		return storage.ErrExists
	}
	in.Version, in.CreatedAt = 1, s.now()
	in.SecretHash, in.FCMKey, in.FCMConfig = slices.Clone(in.SecretHash), slices.Clone(in.FCMKey), slices.Clone(in.FCMConfig)
	ss := &session{Session: in, topics: map[string]*topic{}, devices: map[string]map[string]*storage.Device{}, owners: map[storage.Subscriber]string{}}
	s.names[in.Name], s.sessions[in.ID] = ss, ss
	return nil
}

// Session implements storage.Catalog.
func (s *Store) Session(_ context.Context, name string) (storage.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := s.names[name]
	if ss == nil {
		return storage.Session{}, storage.ErrNotFound
	}
	return ss.Session, nil
}

// Sessions implements storage.Catalog.
func (s *Store) Sessions(_ context.Context, match, after string, limit int) ([]storage.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []storage.Session
	for _, name := range sortedKeys(s.names) {
		if name > after && len(out) < limit && strings.Contains(strings.ToLower(name), strings.ToLower(match)) {
			out = append(out, s.names[name].Session)
		}
	}
	return out, nil
}

// States implements storage.Catalog.
func (s *Store) States(_ context.Context, ids []string) ([]storage.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]storage.State, len(ids))
	for i, id := range ids {
		if ss := s.sessions[id]; ss != nil {
			out[i] = storage.State{Version: ss.Version, Suspended: ss.Suspended}
		}
	}
	return out, nil
}

// SuspendSession implements storage.Catalog.
func (s *Store) SuspendSession(_ context.Context, name string, suspended bool) (storage.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := s.names[name]
	if ss == nil {
		return storage.Session{}, storage.ErrNotFound
	}
	ss.Suspended = suspended
	ss.Version++
	return ss.Session, nil
}

// DropSession implements storage.Catalog.
func (s *Store) DropSession(_ context.Context, name string) (storage.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := s.names[name]
	if ss == nil {
		return storage.Session{}, storage.ErrNotFound
	}
	s.drop(ss)
	return ss.Session, nil
}

func (s *Store) drop(ss *session) {
	delete(s.names, ss.Name)
	delete(s.sessions, ss.ID)
}

// Totals implements storage.Catalog.
func (s *Store) Totals(context.Context) (storage.Totals, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := storage.Totals{Sessions: int64(len(s.sessions))}
	for _, ss := range s.sessions {
		out.Subscriptions += int64(ss.subscriptions)
		out.Bytes += ss.bytes
		for _, t := range ss.topics {
			out.Messages += int64(len(t.messages))
			out.Wakes += int64(len(t.wakes))
		}
	}
	return out, nil
}
