// Package memory keeps a store in plain maps under one lock. It dies with the process: for tests, trials, and brokers
// whose messages may be lost with them. It is also the shortest reading of what package storage asks of a store; where
// another implementation and this one disagree, one of them is wrong.
//
// Nothing runs in the background and the clock is the caller's, so it works inside testing/synctest.
package memory

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"sync"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// Store is a storage.Store in memory.
type Store struct {
	options storage.Options
	now     func() time.Time
	epoch   string

	mu       sync.Mutex          // guards the following and all they lead to
	sessions map[string]*session // by ID
	names    map[string]*session // by name
	logins   map[string]*storage.Login
	audits   []storage.Audit // ascending ID
	audited  int64           // the newest's ID
}

var _ storage.Store = (*Store)(nil)

type session struct {
	storage.Session
	topics        map[string]*topic
	subscriptions int
	bytes         int64
	devices       map[string]map[string]*storage.Device // by user and ID
	owners        map[storage.Subscriber]string         // users, of clients
}

type topic struct {
	name          string
	head          uint64
	messages      []storage.Message // ascending Seq
	ids           map[messageKey]id
	idOrder       []idDue // oldest first
	wakes         map[uint64]*wake
	subscriptions map[storage.Subscriber]*subscription
}

type messageKey [sha256.Size]byte

// id remembers a messageId beyond its message. at tells it from a later one with the same key.
type id struct {
	seq uint64
	at  time.Time
}

type idDue struct {
	key messageKey
	at  time.Time
}

type subscription struct {
	attach  int64
	settled storage.Ranges
	seen    time.Time
	woken   uint64 // its user was woken for messages up to it
}

// Open makes an empty store whose clock is now.
func Open(o storage.Options, now func() time.Time) *Store {
	if o.DedupeWindow == 0 {
		o.DedupeWindow = protocol.DedupeWindow
	}
	o.Audits = cmp.Or(o.Audits, storage.AuditMost)
	return &Store{
		options:  o,
		now:      now,
		epoch:    rand.Text(),
		sessions: map[string]*session{},
		names:    map[string]*session{},
		logins:   map[string]*storage.Login{},
	}
}

// Now is the clock given to Open.
func (s *Store) Now(context.Context) (time.Time, error) { return s.now(), nil }

// Close does nothing.
func (s *Store) Close() error { return nil }

// live finds a session that messages and subscriptions may still be added to.
func (s *Store) live(id string) (*session, error) {
	ss := s.sessions[id]
	if ss == nil || expired(ss.ExpiresAt, s.now()) {
		return nil, storage.ErrNoSession
	}
	return ss, nil
}

// topic finds a topic, nil where there is none.
func (s *Store) topic(t storage.Topic) *topic {
	if ss := s.sessions[t.Session]; ss != nil {
		return ss.topics[t.Name]
	}
	return nil
}

// expired says whether a thing that lasts until end (zero: for good) is over.
func expired(end, now time.Time) bool { return !end.IsZero() && !now.Before(end) }

// view is a subscription as callers see it; nothing in it is shared.
func (s *Store) view(sub storage.Subscriber, ss *session, t *topic) storage.Subscription {
	own := t.subscriptions[sub]
	return storage.Subscription{
		Subscriber: sub,
		Topic:      storage.Topic{Session: ss.ID, Name: t.name},
		Attach:     own.attach,
		Settled:    own.settled.Clone(),
		Head:       t.head,
		Epoch:      s.epoch,
	}
}

// sortedKeys lists a map's keys in the order of their bytes.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
