package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"

	"github.com/fastport/fastport/storage"
)

// keySize is how much of a messageId's SHA-256 tells it from all others.
const keySize = 16

type idKey [keySize]byte

// Append implements storage.Mailbox.
func (s *Store) Append(ctx context.Context, group []storage.Entry) ([]storage.Appended, string, error) {
	results := make([]storage.Appended, len(group))
	if len(group) == 0 {
		return results, s.epoch, nil
	}
	keys := make([]idKey, len(group)) // hashed before the turn
	for i := range group {
		sum := sha256.Sum256([]byte(group[i].MessageID))
		keys[i] = idKey(sum[:keySize])
	}
	err := s.append(ctx, group, keys, results)
	if err != nil && isEntrysFault(err) {
		err = nil
		for i := range group {
			one := s.append(ctx, group[i:i+1], keys[i:i+1], results[i:i+1])
			if isEntrysFault(one) {
				results[i] = storage.Appended{Err: storage.ErrInvalid}
			} else if one != nil {
				err = one
				break
			}
		}
	}
	if err != nil {
		return nil, s.epoch, fail("append", err)
	}
	s.room.heed(results)
	return results, s.epoch, nil
}

func (s *Store) append(ctx context.Context, group []storage.Entry, keys []idKey, results []storage.Appended) error {
	return s.writer.do(ctx, len(group), func(db *conn) error {
		left, err := s.room.left(db)
		if err != nil {
			return err
		}
		a := s.begin(db, group, left)
		for i := range group {
			if results[i], err = a.decide(&group[i], keys[i]); err != nil {
				return err
			}
		}
		if err := s.move(db, s.journal.crowd(len(a.group.row))); err != nil {
			return err
		}
		return a.write()
	})
}

// begin starts a group, with so many bytes of room on the disk.
func (s *Store) begin(db *conn, group []storage.Entry, left int64) *appending {
	now := s.clock()
	return &appending{
		store:    s,
		db:       db,
		now:      now,
		left:     left,
		group:    s.journal.begin(now, group),
		sessions: map[string]*appendSession{},
		topics:   map[storage.Topic]*appendTopic{},
		ids:      make(map[appendID]uint64, len(group)),
	}
}

// appending is one group on its way into the store: everything is decided entry by entry, then written in few
// statements.
type appending struct {
	store *Store
	db    *conn
	now   int64
	left  int64 // bytes of room on the disk

	sessions map[string]*appendSession
	topics   map[storage.Topic]*appendTopic
	ids      map[appendID]uint64 // of this group
	known    map[int64]knownIDs  // rows of message_ids that were read

	group *group // what is to be stored
	wakes []any  // rows of push_outbox, flat
}

type appendSession struct {
	live  bool
	bytes int64
}

type appendTopic struct {
	topicRow
	session *appendSession
	fresh   *freshTopic                          // nil: nothing of this group is stored
	origins map[storage.Subscriber]*appendOrigin // nil: has no subscription
}

type appendOrigin struct {
	settled storage.Ranges
	changed bool
}

// knownIDs is a row of message_ids.
type knownIDs struct {
	stored int64
	ids    map[appendID]uint64
}

type appendID struct {
	topic int64
	key   idKey
}

// decide says what becomes of an entry, and notes what is to be written for it.
func (a *appending) decide(e *storage.Entry, key idKey) (storage.Appended, error) {
	t, err := a.topic(e.Topic)
	if err != nil {
		return storage.Appended{}, err
	}
	if !t.session.live {
		return storage.Appended{Err: storage.ErrNoSession}, nil
	}
	if t.id == 0 {
		return storage.Appended{Outcome: storage.NotStored}, nil // nobody ever subscribed
	}
	// A repeat comes first: it is answered as before, whatever has become of subscribers, quota and room since.
	if seq, err := a.repeat(t.id, key); err != nil {
		return storage.Appended{}, err
	} else if seq > 0 {
		return storage.Appended{Outcome: storage.Repeat, Seq: seq}, nil
	}
	origin, err := a.origin(t, e.Origin)
	if err != nil {
		return storage.Appended{}, err
	}
	if t.subscribers == 0 || t.subscribers == 1 && origin != nil {
		return storage.Appended{Outcome: storage.NotStored}, nil
	}
	size := int64(len(e.Data))
	if q := a.store.options.StoredBytes; q > 0 && t.session.bytes+size > q {
		return storage.Appended{Err: storage.ErrQuota}, nil
	}
	cost := 2*size + 2*pageSize // in the WAL and in the file
	if a.left < cost {
		return storage.Appended{Err: storage.ErrFull}, nil
	}
	a.left -= cost
	t.session.bytes += size
	t.head++
	if t.fresh == nil {
		t.fresh = a.store.journal.topic(t.id, e.Topic)
	}
	if origin != nil {
		origin.settled.Add(t.head, t.head)
		origin.changed = true
	}
	a.ids[appendID{t.id, key}] = t.head
	a.group.append(t.fresh, t.head, a.now+millis(e.Expiry), e)
	if e.Wake > 0 {
		a.wakes = append(a.wakes, t.id, int64(t.head), e.Topic.Session, a.now+millis(e.Wake))
	}
	return storage.Appended{Outcome: storage.Stored, Seq: t.head}, nil
}

// topic looks a topic and its session up, once a group.
func (a *appending) topic(at storage.Topic) (*appendTopic, error) {
	if t := a.topics[at]; t != nil {
		return t, nil
	}
	session, err := a.session(at.Session)
	if err != nil {
		return nil, err
	}
	row, err := a.store.topicRow(a.db, at)
	if err != nil {
		return nil, err
	}
	t := &appendTopic{topicRow: row, session: session}
	t.head = a.store.journal.head(t.id, t.head)
	a.topics[at] = t
	return t, nil
}

// session reads a session, once a group.
func (a *appending) session(id string) (*appendSession, error) {
	if ss := a.sessions[id]; ss != nil {
		return ss, nil // with what this group has added
	}
	ss := &appendSession{}
	var expires int64
	err := a.db.row(`SELECT s.expires_at, u.bytes FROM sessions s JOIN usage u ON u.session = s.id WHERE s.id = ?`, id).Scan(&expires, &ss.bytes)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	ss.live = err == nil && (expires == 0 || a.now < expires)
	ss.bytes += a.store.journal.stored(id)
	a.sessions[id] = ss
	return ss, nil
}

// repeat is the seq under which a message is known already, or 0.
func (a *appending) repeat(topic int64, key idKey) (uint64, error) {
	id := appendID{topic, key}
	if seq := a.ids[id]; seq > 0 {
		return seq, nil
	}
	row := a.store.hints.row(id)
	if row == 0 {
		return 0, nil
	}
	known, ok := a.known[row]
	if !ok {
		var blob []byte
		err := a.db.row(`SELECT stored_at, ids FROM message_ids WHERE id = ?`, row).Scan(&known.stored, &blob)
		if err == nil {
			known.ids, err = parseIDs(blob)
		}
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return 0, err
		}
		if a.known == nil {
			a.known = map[int64]knownIDs{}
		}
		a.known[row] = known
	}
	if a.now >= known.stored+millis(a.store.options.DedupeWindow) {
		return 0, nil
	}
	return known.ids[id], nil
}

// origin reads the origin's own subscription, nil if it has none, once a group.
func (a *appending) origin(t *appendTopic, sub storage.Subscriber) (*appendOrigin, error) {
	if sub == "" || t.subscribers == 0 {
		return nil, nil
	}
	if o, ok := t.origins[sub]; ok {
		return o, nil
	}
	if t.origins == nil {
		t.origins = map[storage.Subscriber]*appendOrigin{}
	}
	var settled []byte
	err := a.db.row(`SELECT settled FROM subscriptions WHERE topic = ? AND subscriber = ?`, t.id, string(sub)).Scan(&settled)
	if errors.Is(err, sql.ErrNoRows) {
		t.origins[sub] = nil
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	o := &appendOrigin{}
	if o.settled, err = storage.ParseRanges(settled); err != nil {
		return nil, err
	}
	t.origins[sub] = o
	return o, nil
}

// write writes what was decided.
func (a *appending) write() error {
	if len(a.ids) == 0 {
		return nil
	}
	if err := a.db.exec(`INSERT INTO journal (id, stored_at, entries) VALUES (?, ?, ?)`, a.group.id, a.group.stored, a.group.row); err != nil {
		return err
	}
	if err := a.db.insert(`INSERT OR FAIL INTO push_outbox (topic, seq, session, due) VALUES `, 4, a.wakes); err != nil {
		return err
	}
	if err := a.db.exec(`INSERT INTO message_ids (id, stored_at, ids) VALUES (?, ?, ?)`,
		a.store.hints.add(a.ids), a.now, appendIDs(make([]byte, 0, len(a.ids)*(keySize+8)), a.ids)); err != nil {
		return err
	}
	for _, t := range a.topics {
		for sub, o := range t.origins {
			if o == nil || !o.changed {
				continue
			}
			if err := a.db.exec(`UPDATE subscriptions SET settled = ? WHERE topic = ? AND subscriber = ?`,
				o.settled.AppendBinary([]byte{}), t.id, string(sub)); err != nil {
				return err
			}
		}
	}
	a.store.journal.add(a.group)
	return nil
}
