package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/fastport/fastport/storage"
)

// What one transaction and one call of Sweep take on, in rows or topics. Appends get their turn between bites.
const (
	bite  = 500
	bites = 40
)

// Sweep implements storage.Keeper. It looks with the reading connections, which disturb nobody, and takes the writer's
// turn only where something is due.
func (s *Store) Sweep(ctx context.Context) (storage.Swept, error) {
	var swept storage.Swept
	if !s.sweeping.TryLock() {
		return swept, nil
	}
	defer s.sweeping.Unlock()
	s.room.probe()
	left := bites
	for _, step := range []func(context.Context, *storage.Swept) (more bool, err error){
		s.sweepSessions, s.sweepSubscriptions, s.sweepExpired, s.sweepSettled, s.sweepJournal, s.sweepIDs, s.sweepLogins,
	} {
		for more := true; more; left-- {
			if left <= 0 {
				swept.More = true
				break
			}
			var err error
			if more, err = step(ctx, &swept); err != nil {
				return swept, fail("sweep", err)
			}
		}
	}
	if err := s.scrubFiles(ctx); err != nil {
		return swept, fail("sweep: scrub", err)
	}
	return swept, fail("sweep: room", s.room.ease(ctx, s.writer))
}

// sweepSessions removes sessions past their end.
func (s *Store) sweepSessions(ctx context.Context, swept *storage.Swept) (more bool, err error) {
	const most = 20 // each with all that is its own
	var due []storage.Session
	err = s.reader.rows(ctx, func(r *sql.Rows) error {
		ss, err := scanSession(r)
		due = append(due, ss)
		return err
	}, `SELECT `+sessionColumns+` FROM sessions WHERE expires_at > 0 AND expires_at <= ? LIMIT ?`, s.clock(), most)
	if err != nil || len(due) == 0 {
		return false, err
	}
	var topics []int64
	err = s.writer.do(ctx, bite, func(db *conn) error {
		topics = topics[:0]
		for _, ss := range due {
			own, err := s.dropSession(db, ss.ID)
			if err != nil {
				return err
			}
			topics = append(topics, own...)
		}
		return nil
	})
	s.dirty.add(topics...)
	if err != nil {
		return false, err
	}
	s.scrub.Store(true)
	swept.Sessions = append(swept.Sessions, due...)
	return len(due) == most, nil
}

// sweepSubscriptions removes subscriptions that were not seen for their session's SubscriptionExpiry.
func (s *Store) sweepSubscriptions(ctx context.Context, swept *storage.Swept) (more bool, err error) {
	type key struct {
		topic int64
		sub   string
	}
	var due []key
	now := s.clock()
	err = s.reader.rows(ctx, func(r *sql.Rows) error {
		var k key
		err := r.Scan(&k.topic, &k.sub)
		due = append(due, k)
		return err
	}, `SELECT topic, subscriber FROM subscriptions WHERE expires_at > 0 AND expires_at <= ? LIMIT ?`, now, bite)
	if err != nil || len(due) == 0 {
		return false, err
	}
	var topics []int64
	err = s.writer.do(ctx, bite, func(db *conn) error {
		topics = topics[:0]
		for _, k := range due {
			// Asked again: it may have been seen since we looked.
			n, err := db.change(`DELETE FROM subscriptions WHERE topic = ? AND subscriber = ? AND expires_at > 0 AND expires_at <= ?`, k.topic, k.sub, now)
			if err != nil {
				return err
			}
			if n == 0 {
				continue
			}
			topics = append(topics, k.topic)
			if err := s.left(db, k.topic); err != nil {
				return err
			}
		}
		return nil
	})
	s.dirty.add(topics...)
	if err != nil {
		return false, err
	}
	swept.Subscriptions += len(topics)
	return len(due) == bite, nil
}

// sweepExpired removes messages past their expiry.
func (s *Store) sweepExpired(ctx context.Context, swept *storage.Swept) (more bool, err error) {
	marked, wakes := s.journal.expire(s.clock())
	swept.Expired += marked
	s.silenced = append(s.silenced, wakes...)
	var due []span
	err = s.reader.rows(ctx, func(r *sql.Rows) error {
		p := span{messages: 1}
		err := r.Scan(&p.topic, &p.lo, &p.bytes)
		p.hi = p.lo
		due = append(due, p)
		return err
	}, `SELECT topic, seq, length(data) FROM messages WHERE expires_at <= ? ORDER BY expires_at LIMIT ?`, s.clock(), bite)
	if err != nil {
		return false, err
	}
	n, err := s.remove(ctx, due)
	swept.Expired += n
	return len(due) == bite, err
}

// sweepSettled removes, from topics where something changed, messages that every durable subscription has settled.
func (s *Store) sweepSettled(ctx context.Context, swept *storage.Swept) (more bool, err error) {
	if err := s.checkTopics(ctx); err != nil {
		return false, err
	}
	topics := s.dirty.take(bite)
	if len(topics) == 0 {
		return !s.checked, nil
	}
	defer func() {
		if err != nil {
			s.dirty.add(topics...)
		}
	}()
	var due []span
	room := bite
	for i, topic := range topics {
		if room <= 0 {
			s.dirty.add(topics[i:]...)
			break
		}
		// A snapshot will do: what is settled stays so, and who subscribes later starts at the head.
		settled, filed, err := s.settled(ctx, topic)
		if err != nil {
			return false, err
		}
		marked, wakes := s.journal.settle(topic, settled)
		swept.Settled += marked
		s.silenced = append(s.silenced, wakes...)
		spans, err := s.spans(ctx, topic, settled.Intersect(filed), room)
		if err != nil {
			return false, err
		}
		for _, p := range spans {
			room -= p.messages
		}
		if room <= 0 {
			s.dirty.add(topic) // there may be more
		}
		due = append(due, spans...)
	}
	n, err := s.remove(ctx, due)
	swept.Settled += n
	return !s.checked || !s.dirty.empty(), err
}

// checkTopics marks the topics that have messages, some a call, until all have been marked once in the life of this
// process: which were dirty when the last one ended, nobody knows.
func (s *Store) checkTopics(ctx context.Context) error {
	for range bite {
		if s.checked {
			return nil
		}
		var topic int64
		err := s.reader.row(ctx, `SELECT topic FROM messages WHERE topic > ? ORDER BY topic LIMIT 1`, s.checkedTo).Scan(&topic)
		if errors.Is(err, sql.ErrNoRows) {
			s.checked = true
			return nil
		} else if err != nil {
			return err
		}
		s.dirty.add(topic)
		s.checkedTo = topic
	}
	return nil
}

// span is messages of a topic that are to go: all that are left with a seq of lo to hi.
type span struct {
	topic    int64
	lo, hi   int64
	messages int
	bytes    int64
}

// settled is which of a topic's messages nobody is owed any more, and between which seqs the table messages has any.
func (s *Store) settled(ctx context.Context, topic int64) (settled, filed storage.Ranges, err error) {
	settled = storage.Span(s.journal.span(topic)) // before the tables: see journal
	var first, last sql.Null[int64]
	err = s.reader.row(ctx, `SELECT (SELECT min(seq) FROM messages WHERE topic = ?1), (SELECT max(seq) FROM messages WHERE topic = ?1)`,
		topic).Scan(&first, &last)
	if err != nil {
		return nil, nil, err
	}
	if first.Valid {
		filed = storage.Span(uint64(first.V), uint64(last.V))
		settled = settled.Union(filed)
	}
	if len(settled) == 0 {
		return nil, nil, nil
	}
	err = s.reader.rows(ctx, func(r *sql.Rows) error {
		var own sql.RawBytes
		if err := r.Scan(&own); err != nil {
			return err
		}
		ranges, err := storage.ParseRanges(own)
		if err != nil {
			return err
		}
		if settled = settled.Intersect(ranges); len(settled) == 0 {
			return errStop
		}
		return nil
	}, `SELECT settled FROM subscriptions WHERE topic = ?`, topic)
	return settled, filed, err
}

// spans finds up to about most messages in the table that are settled.
func (s *Store) spans(ctx context.Context, topic int64, settled storage.Ranges, most int) (spans []span, err error) {
	for _, x := range settled {
		p := span{topic: topic, lo: int64(x.Lo)}
		err := s.reader.rows(ctx, func(r *sql.Rows) error {
			var size int64
			if err := r.Scan(&p.hi, &size); err != nil {
				return err
			}
			p.messages++
			p.bytes += size
			most--
			return nil
		}, `SELECT seq, length(data) FROM messages WHERE topic = ? AND seq BETWEEN ? AND ? ORDER BY seq LIMIT ?`,
			topic, int64(x.Lo), int64(x.Hi), most)
		if err != nil {
			return nil, err
		}
		if p.messages > 0 {
			spans = append(spans, p)
		}
		if most <= 0 {
			break
		}
	}
	return spans, nil
}

// remove deletes messages from the table and counts them off their sessions, and sees to it that nobody is woken for those
// of the journal that are dead. It gives how many of the table still belonged to a session.
func (s *Store) remove(ctx context.Context, due []span) (n int, err error) {
	if len(due)+len(s.silenced) == 0 {
		return 0, nil
	}
	err = s.writer.do(ctx, bite, func(db *conn) error {
		n = 0
		for _, w := range s.silenced {
			if err := db.exec(`DELETE FROM push_outbox WHERE topic = ? AND seq = ?`, w.topic, int64(w.seq)); err != nil {
				return err
			}
		}
		for _, p := range due {
			if err := db.exec(`DELETE FROM messages WHERE topic = ? AND seq BETWEEN ? AND ?`, p.topic, p.lo, p.hi); err != nil {
				return err
			}
			if err := db.exec(`DELETE FROM push_outbox WHERE topic = ? AND seq BETWEEN ? AND ?`, p.topic, p.lo, p.hi); err != nil {
				return err
			}
			owned, err := db.change(`UPDATE usage SET messages = messages - ?, bytes = bytes - ? WHERE session = (SELECT session FROM topics WHERE id = ?)`,
				p.messages, p.bytes, p.topic)
			if err != nil {
				return err
			}
			if owned > 0 {
				n += p.messages
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	s.silenced = nil
	s.scrub.Store(true)
	return n, nil
}

// sweepJournal takes groups out of the journal that have done their service.
func (s *Store) sweepJournal(ctx context.Context, _ *storage.Swept) (more bool, err error) {
	if s.journal.due(s.clock()) == 0 {
		return false, nil
	}
	moved := 0
	err = s.writer.do(ctx, bite, func(db *conn) error {
		moved = s.journal.due(s.clock())
		return s.move(db, moved)
	})
	if err != nil {
		return false, err
	}
	s.scrub.Store(true)
	return moved > 0, nil
}

// sweepIDs forgets messageIds past the dedupe window.
func (s *Store) sweepIDs(ctx context.Context, swept *storage.Swept) (more bool, err error) {
	const mostRows = 64 // a group each
	now, window := s.clock(), millis(s.options.DedupeWindow)
	due := map[int64]map[appendID]uint64{}
	n := 0
	err = s.reader.rows(ctx, func(r *sql.Rows) error {
		var row, stored int64
		var blob sql.RawBytes
		if err := r.Scan(&row, &stored, &blob); err != nil {
			return err
		}
		// Rows are in the order of time, unless the clock went back: what comes from far ahead must not hold up the rest.
		if now < stored+window && stored <= now+window {
			return errStop
		}
		ids, err := parseIDs(blob)
		due[row] = ids
		if n += len(ids); err == nil && n >= 8*bite { // many to a page
			more = true
			return errStop
		}
		return err
	}, `SELECT id, stored_at, ids FROM message_ids ORDER BY id LIMIT ?`, mostRows)
	if err != nil || len(due) == 0 {
		return false, err
	}
	err = s.writer.do(ctx, bite, func(db *conn) error {
		for row := range due {
			if err := db.exec(`DELETE FROM message_ids WHERE id = ?`, row); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	for row, ids := range due {
		s.hints.forget(row, ids)
	}
	swept.IDs += n
	return more || len(due) == mostRows, nil
}

// sweepLogins removes logins made too long ago.
func (s *Store) sweepLogins(ctx context.Context, swept *storage.Swept) (more bool, err error) {
	end := s.clock() - millis(storage.LoginKept)
	var due int
	err = s.reader.row(ctx, `SELECT count(*) FROM logins WHERE created_at <= ?`, end).Scan(&due)
	if err != nil || due == 0 {
		return false, err
	}
	var n int64
	err = s.writer.do(ctx, bite, func(db *conn) (err error) {
		n, err = db.change(`DELETE FROM logins WHERE created_at <= ?`, end)
		return err
	})
	swept.Logins += int(n)
	return false, err
}

// scrubFiles takes what was deleted out of the WAL; in the file itself secure_delete has written zeros over it. Where
// nothing was deleted it still takes along what the WAL holds, so that no commit has to.
func (s *Store) scrubFiles(ctx context.Context) error {
	scrub, wrote := s.scrub.Swap(false), s.writer.wrote.Swap(false)
	if !scrub && !wrote {
		return nil
	}
	// First by a connection that reads, without the turn: most of it, the sync included, while others append.
	var busy, frames, done int
	err := s.reader.row(ctx, `PRAGMA wal_checkpoint(PASSIVE)`).Scan(&busy, &frames, &done)
	if err == nil && scrub {
		err = s.writer.alone(ctx, func(db *conn) error {
			// It waits for readers, and writers wait for it: somebody's backup must not hold the broker up.
			if err := db.exec(`PRAGMA busy_timeout = 50`); err != nil {
				return err
			}
			return errors.Join(
				db.row(`PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &done),
				db.exec(`PRAGMA busy_timeout = `+busyTimeout))
		})
	}
	if scrub && (err != nil || busy != 0) { // somebody is still reading the old state: the next sweep tries again
		s.scrub.Store(true)
	}
	return err
}
