package memory

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/fastport/fastport/storage"
)

// SaveAudit implements storage.Audits.
func (s *Store) SaveAudit(_ context.Context, a storage.Audit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.audited++
	a.ID, a.At = s.audited, s.now()
	s.audits = append(s.audits, a)
	same, oldest := 0, 0
	for i, b := range slices.Backward(s.audits) {
		if (a.Result == storage.AuditOK) == (b.Result == storage.AuditOK) {
			same, oldest = same+1, i
		}
	}
	if same > s.options.Audits {
		s.audits = slices.Delete(s.audits, oldest, oldest+1)
	}
	return nil
}

// Audits implements storage.Audits.
func (s *Store) Audits(_ context.Context, before int64, limit int) ([]storage.Audit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []storage.Audit
	for _, a := range slices.Backward(s.audits) {
		if (before == 0 || a.ID < before) && len(out) < limit {
			out = append(out, a)
		}
	}
	return out, nil
}

// Usage implements storage.Looks.
func (s *Store) Usage(_ context.Context, session string) (u storage.Usage, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := s.sessions[session]
	if ss == nil {
		return u, nil
	}
	u = storage.Usage{Topics: int64(len(ss.topics)), Subscriptions: int64(ss.subscriptions), Bytes: ss.bytes, Users: int64(len(ss.devices))}
	for _, t := range ss.topics {
		u.Messages += int64(len(t.messages))
		u.Wakes += int64(len(t.wakes))
	}
	for _, own := range ss.devices {
		u.Devices += int64(len(own))
	}
	return u, nil
}

// SessionDevices implements storage.Looks.
func (s *Store) SessionDevices(_ context.Context, session, afterUser, afterID string, limit int) ([]storage.Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := s.sessions[session]
	if ss == nil {
		return nil, nil
	}
	var out []storage.Device
	for _, own := range ss.devices {
		for _, d := range own {
			if order(*d, storage.Device{User: afterUser, ID: afterID}) > 0 {
				shown := *d
				shown.Token = nil
				out = append(out, shown)
			}
		}
	}
	slices.SortFunc(out, order)
	return out[:min(len(out), limit)], nil
}

func order(a, b storage.Device) int {
	return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.ID, b.ID))
}

// Find implements storage.Looks.
func (s *Store) Find(_ context.Context, session, topic, messageID string) ([]storage.Found, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := s.sessions[session]
	if ss == nil {
		return nil, nil
	}
	var out []storage.Found
	key := messageKey(sha256.Sum256([]byte(messageID)))
	for _, name := range sortedKeys(ss.topics) {
		t := ss.topics[name]
		if topic != "" && topic != name || len(out) == storage.FoundTopics {
			continue
		}
		f := storage.Found{Topic: name, Seq: t.ids[key].seq, Known: t.ids[key].at}
		for _, m := range t.messages {
			if m.MessageID == messageID {
				f.Seq, f.Stored, f.StoredAt, f.ExpiresAt, f.Timestamp = m.Seq, true, m.StoredAt, m.ExpiresAt, m.Timestamp
				f.Origin, f.Size, f.Wake = m.Origin, len(m.Data), t.wakes[m.Seq] != nil
			}
		}
		if f.Seq == 0 {
			continue
		}
		for sub, own := range t.subscriptions {
			p := storage.Position{Subscriber: sub, Settled: own.settled.Contains(f.Seq)}
			if f.Subscriptions++; p.Settled {
				f.Settled++
			}
			f.Positions = append(f.Positions, p)
		}
		f.Trim()
		out = append(out, f)
	}
	return out, nil
}
