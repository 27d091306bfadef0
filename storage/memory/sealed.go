package memory

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"slices"
	"strings"

	"github.com/fastport/fastport/storage"
)

// ResealSession implements storage.Sealed.
func (s *Store) ResealSession(_ context.Context, id string, fcmKey, fcmConfig []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := s.sessions[id]
	if ss == nil {
		return storage.ErrNotFound
	}
	ss.FCMKey, ss.FCMConfig = bytes.Clone(fcmKey), bytes.Clone(fcmConfig)
	return nil
}

// EveryDevice implements storage.Sealed.
func (s *Store) EveryDevice(_ context.Context, after storage.Device, limit int) ([]storage.Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	order := func(a, b storage.Device) int {
		return cmp.Or(strings.Compare(a.Session, b.Session), strings.Compare(a.User, b.User), strings.Compare(a.ID, b.ID))
	}
	var out []storage.Device
	for _, ss := range s.sessions {
		for _, own := range ss.devices {
			for _, d := range own {
				if order(*d, after) > 0 {
					out = append(out, *d)
				}
			}
		}
	}
	slices.SortFunc(out, order)
	return out[:min(len(out), limit)], nil
}

// ResealDevice implements storage.Sealed.
func (s *Store) ResealDevice(_ context.Context, d storage.Device, token []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := s.sessions[d.Session]
	if ss == nil {
		return false, nil
	}
	known := ss.devices[d.User][d.ID]
	if known == nil || subtle.ConstantTimeCompare(known.Token, d.Token) == 0 {
		return false, nil
	}
	changed := *known // a Device that was listed shares its bytes
	changed.Token = bytes.Clone(token)
	ss.devices[d.User][d.ID] = &changed
	return true, nil
}
