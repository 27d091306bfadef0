package memory

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// wake is a row of the outbox.
type wake struct {
	due      time.Time
	attempts int
}

// SaveDevice implements storage.Devices.
func (s *Store) SaveDevice(_ context.Context, d storage.Device) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss, err := s.live(d.Session)
	if err != nil {
		return err
	}
	own := ss.devices[d.User]
	if own == nil {
		own = map[string]*storage.Device{}
		ss.devices[d.User] = own
	}
	d.Token, d.CreatedAt, d.UpdatedAt = bytes.Clone(d.Token), s.now(), s.now()
	if known := own[d.ID]; known != nil {
		d.CreatedAt = known.CreatedAt
	} else if len(own) >= protocol.MaxDevices {
		return storage.ErrQuota
	}
	own[d.ID] = &d
	return nil
}

// DeleteDevice implements storage.Devices.
func (s *Store) DeleteDevice(_ context.Context, session, user, id string, token []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := s.sessions[session]
	if ss == nil {
		return false, nil
	}
	own := ss.devices[user]
	if d := own[id]; d == nil || token != nil && subtle.ConstantTimeCompare(d.Token, token) == 0 {
		return false, nil
	}
	if delete(own, id); len(own) == 0 {
		delete(ss.devices, user)
	}
	return true, nil
}

// Devices implements storage.Devices.
func (s *Store) Devices(_ context.Context, session string, users []string) ([]storage.Device, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss := s.sessions[session]
	if ss == nil {
		return nil, nil
	}
	var out []storage.Device
	for _, user := range users {
		for _, d := range ss.devices[user] {
			out = append(out, *d)
		}
	}
	slices.SortFunc(out, func(a, b storage.Device) int {
		return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.ID, b.ID))
	})
	return out, nil
}

// Own implements storage.Devices.
func (s *Store) Own(_ context.Context, session string, sub storage.Subscriber, user string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ss, err := s.live(session)
	if err == nil {
		ss.owners[sub] = user
	}
	return err
}

// ClaimWakes implements storage.Outbox.
func (s *Store) ClaimWakes(_ context.Context, limit int, lease time.Duration, busy []string) ([]storage.Wake, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	type due struct {
		storage.Wake
		row *wake
	}
	var list []due
	for _, ss := range s.sessions {
		if slices.Contains(busy, ss.ID) || expired(ss.ExpiresAt, now) {
			continue
		}
		for _, t := range ss.topics {
			for seq, row := range t.wakes {
				if row.due.After(now) {
					continue
				}
				at := sort.Search(len(t.messages), func(i int) bool { return t.messages[i].Seq >= seq })
				m := &t.messages[at] // a row goes with its message
				if expired(m.ExpiresAt, now) {
					continue
				}
				list = append(list, due{storage.Wake{
					Topic: storage.Topic{Session: ss.ID, Name: t.name}, Seq: m.Seq, SessionName: ss.Name, Config: ss.FCMConfig,
					MessageID: m.MessageID, Timestamp: m.Timestamp, Data: m.Data,
					Age: now.Sub(m.StoredAt), Left: m.ExpiresAt.Sub(now), Attempts: row.attempts,
				}, row})
			}
		}
	}
	slices.SortFunc(list, func(a, b due) int { return cmp.Or(a.row.due.Compare(b.row.due), cmp.Compare(a.Seq, b.Seq)) })
	list = list[:min(len(list), limit)]
	out := make([]storage.Wake, len(list))
	for i, d := range list {
		d.row.due = now.Add(lease)
		d.row.attempts++
		out[i] = d.Wake
	}
	return out, nil
}

// Owed implements storage.Outbox.
func (s *Store) Owed(_ context.Context, at storage.Topic, seqs []uint64, after storage.Subscriber, limit int) ([]storage.Owing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ss := s.topic(at), s.sessions[at.Session]
	if t == nil {
		return nil, nil
	}
	var out []storage.Owing
	for sub, own := range t.subscriptions {
		user := ss.owner(sub)
		if sub <= after || user == "" {
			continue
		}
		newest := uint64(0)
		for _, seq := range seqs {
			if seq > own.woken && !own.settled.Contains(seq) {
				newest = max(newest, seq)
			}
		}
		if newest > 0 {
			out = append(out, storage.Owing{Subscriber: sub, User: user, Seq: newest})
		}
	}
	slices.SortFunc(out, func(a, b storage.Owing) int { return strings.Compare(string(a.Subscriber), string(b.Subscriber)) })
	return out[:min(len(out), limit)], nil
}

// owner is the user who is woken for a subscriber's messages; "": nobody.
func (ss *session) owner(sub storage.Subscriber) string {
	if user, bare := strings.CutPrefix(string(sub), "u:"); bare {
		return user
	}
	return ss.owners[sub]
}

// Woken implements storage.Outbox.
func (s *Store) Woken(_ context.Context, at storage.Topic, list []storage.Owing) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topic(at)
	if t == nil {
		return nil
	}
	for _, o := range list {
		if own := t.subscriptions[o.Subscriber]; own != nil {
			own.woken = max(own.woken, o.Seq)
		}
	}
	return nil
}

// PutOff implements storage.Outbox.
func (s *Store) PutOff(_ context.Context, at storage.Topic, seqs []uint64, wait time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.topic(at); t != nil {
		for _, seq := range seqs {
			if row := t.wakes[seq]; row != nil {
				row.due = s.now().Add(wait)
			}
		}
	}
	return nil
}

// Done implements storage.Outbox.
func (s *Store) Done(_ context.Context, at storage.Topic, seqs []uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.topic(at); t != nil {
		for _, seq := range seqs {
			delete(t.wakes, seq)
		}
	}
	return nil
}
