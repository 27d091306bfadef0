package sqlite

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/fastport/fastport/storage"
)

// A row of the journal is its messages, one after the other, each as uvarints and texts: topic, seq, expires_at (ms),
// timestamp (a varint), messageId, origin, hash, data. A text is its length as a uvarint, and its bytes.

// append writes a message behind the others of its group.
func (g *group) append(t *freshTopic, seq uint64, expires int64, e *storage.Entry) {
	g.entries = append(g.entries, fresh{topic: t, seq: seq, expires: expires, at: len(g.row), size: len(e.Data), wake: e.Wake > 0})
	b := binary.AppendUvarint(g.row, uint64(t.id))
	b = binary.AppendUvarint(b, seq)
	b = binary.AppendUvarint(b, uint64(expires))
	b = binary.AppendVarint(b, e.Timestamp)
	b = appendText(b, e.MessageID)
	b = appendText(b, string(e.Origin))
	b = appendText(b, e.Hash)
	g.row = appendText(b, e.Data)
	if len(g.entries) == 1 || expires < g.expires {
		g.expires = expires
	}
	if wake := g.stored + millis(e.Wake); e.Wake > 0 && (g.wake == 0 || wake < g.wake) {
		g.wake = wake
	}
}

func appendText[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// rowSize is about what a message takes in a row, and no less.
func rowSize(e *storage.Entry) int {
	return len(e.MessageID) + len(e.Origin) + len(e.Hash) + len(e.Data) + 8*binary.MaxVarintLen64
}

// message is the whole of an entry, and shares no memory with its row.
func (r ref) message() storage.Message {
	m, _, _, _ := parseFresh(r.group.row[r.entry().at:]) // was parsed, or written here
	m.Data = append(make([]byte, 0, len(m.Data)), m.Data...)
	m.StoredAt = fromMilli(r.group.stored)
	return m
}

// messageID is the entry's, without the rest.
func (r ref) messageID() string {
	m, _, _, _ := parseFresh(r.group.row[r.entry().at:])
	return m.MessageID
}

var errJournal = errors.New("broken row of journal")

// parseFresh reads the first message of b; its data is b's own. StoredAt is the row's.
func parseFresh(b []byte) (m storage.Message, topic int64, rest []byte, err error) {
	var head [3]uint64
	for i := range head {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return m, 0, nil, errJournal
		}
		head[i], b = v, b[n:]
	}
	timestamp, n := binary.Varint(b)
	if n <= 0 {
		return m, 0, nil, errJournal
	}
	b = b[n:]
	var text [4][]byte
	for i := range text {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return m, 0, nil, errJournal
		}
		b = b[n:]
		text[i], b = b[:size:size], b[size:]
	}
	return storage.Message{Seq: head[1], ExpiresAt: fromMilli(int64(head[2])), Timestamp: timestamp, MessageID: string(text[0]),
		Origin: storage.Subscriber(text[1]), Hash: string(text[2]), Data: text[3]}, int64(head[0]), b, nil
}

// querier is what reads the journal: a connection of its own at Open, the writing one later.
type querier func(scan func(*sql.Rows) error, query string, args ...any) error

// queries is a querier on any connection.
func queries(ctx context.Context, db *sql.DB) querier {
	return func(scan func(*sql.Rows) error, query string, args ...any) error {
		rows, err := db.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		return each(rows, scan)
	}
}

// load makes the journal what its table holds.
func (j *journal) load(query querier) error {
	var groups []*group
	topics := map[int64]*freshTopic{}
	err := query(func(r *sql.Rows) error {
		g := &group{wake: 1} // not known: it may be due
		groups = append(groups, g)
		if err := r.Scan(&g.id, &g.stored, &g.row); err != nil {
			return err
		}
		for b := g.row; len(b) > 0; {
			at := len(g.row) - len(b)
			m, topic, rest, err := parseFresh(b)
			if err != nil {
				return fmt.Errorf("row %d: %w", g.id, err)
			}
			b = rest
			t := topics[topic]
			if t == nil {
				t = &freshTopic{id: topic}
				topics[topic] = t
			}
			expires := toMilli(m.ExpiresAt)
			g.entries = append(g.entries, fresh{topic: t, seq: m.Seq, expires: expires, at: at, size: len(m.Data), wake: true})
			if len(g.entries) == 1 || expires < g.expires {
				g.expires = expires
			}
		}
		return nil
	}, `SELECT id, stored_at, entries FROM journal ORDER BY id`)
	for _, t := range topics {
		if err == nil {
			err = query(func(r *sql.Rows) error { return r.Scan(&t.name.Session, &t.name.Name) },
				`SELECT session, name FROM topics WHERE id = ?`, t.id)
		}
	}
	if err != nil {
		return err
	}
	for _, g := range groups {
		for i := range g.entries {
			e := &g.entries[i]
			e.dead = e.topic.name.Session == "" // was dropped
		}
	}
	j.reset(groups)
	return nil
}
