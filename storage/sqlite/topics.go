package sqlite

import (
	"database/sql"
	"errors"

	"github.com/fastport/fastport/storage"
)

// mostTopics bounds the topics that are known by heart, at some 150 bytes each.
const mostTopics = 1 << 16

// knownTopics are rows of topics as the last append read or left them, so that a group asks for none that is busy. Owned
// by whoever has the writer's turn: who changes a row of topics, or a transaction that fails, sees to it that it is
// forgotten.
type knownTopics map[storage.Topic]topicRow

// topicRow is what an append needs of a topic.
type topicRow struct {
	id          int64 // 0: there is none
	head        uint64
	subscribers int
}

// topicRow reads a topic.
func (s *Store) topicRow(db *conn, at storage.Topic) (t topicRow, err error) {
	if t, ok := s.topics[at]; ok {
		return t, nil
	}
	err = db.row(`SELECT id, head, subscribers FROM topics WHERE session = ? AND name = ?`, at.Session, at.Name).Scan(&t.id, &t.head, &t.subscribers)
	if errors.Is(err, sql.ErrNoRows) {
		return topicRow{}, nil // not kept: anybody may ask for topics that are not there
	} else if err != nil {
		return topicRow{}, err
	}
	if len(s.topics) >= mostTopics {
		clear(s.topics)
	}
	s.topics[at] = t
	return t, nil
}
