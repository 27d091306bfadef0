package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"

	"github.com/fastport/fastport/storage"
)

// seenUntil is the expiry of a session's subscriptions that are seen now; its two parameters are now and the session.
const seenUntil = `(SELECT CASE WHEN subscription_expiry > 0 THEN ? + subscription_expiry / 1000000 ELSE 0 END FROM sessions WHERE id = ?)`

// Subscribe implements storage.Subscriptions.
func (s *Store) Subscribe(ctx context.Context, sub storage.Subscriber, at storage.Topic, attach bool) (out storage.Subscription, err error) {
	if sub == "" {
		return storage.Subscription{}, storage.ErrInvalid // nobody cannot be owed anything
	}
	var refused error
	err = s.writer.do(ctx, 1, func(db *conn) (err error) {
		out, refused, err = s.subscribe(db, sub, at, attach)
		return err
	})
	if err == nil && refused != nil {
		return storage.Subscription{}, refused
	}
	return out, fail("subscribe", err)
}

func (s *Store) subscribe(db *conn, sub storage.Subscriber, at storage.Topic, attach bool) (out storage.Subscription, refused, err error) {
	now := s.clock()
	var expires, id int64
	out = storage.Subscription{Subscriber: sub, Topic: at, Epoch: s.epoch}
	err = db.row(`SELECT s.expires_at, coalesce(t.id, 0), coalesce(t.head, 0) FROM sessions s
		LEFT JOIN topics t ON t.session = s.id AND t.name = ? WHERE s.id = ?`, at.Name, at.Session).Scan(&expires, &id, &out.Head)
	if errors.Is(err, sql.ErrNoRows) || err == nil && expires > 0 && now >= expires {
		return out, storage.ErrNoSession, nil
	} else if err != nil {
		return out, nil, err
	}
	out.Head = s.journal.head(id, out.Head)
	var settled []byte
	err = db.row(`UPDATE subscriptions SET attach = attach + ?, expires_at = `+seenUntil+` WHERE topic = ? AND subscriber = ?
		RETURNING attach, settled`, attach, now, at.Session, id, string(sub)).Scan(&out.Attach, &settled)
	if err == nil {
		out.Settled, err = storage.ParseRanges(settled)
		return out, nil, err
	} else if !errors.Is(err, sql.ErrNoRows) {
		return out, nil, err
	}
	if refused, err = s.roomForSubscription(db, at.Session, id == 0); refused != nil || err != nil {
		return out, refused, err
	}
	if id == 0 {
		err = db.row(`INSERT INTO topics (session, name) VALUES (?, ?) RETURNING id`, at.Session, at.Name).Scan(&id)
		if err != nil {
			return out, nil, err
		}
	}
	out.Attach, out.Settled = 1, storage.Span(1, out.Head)
	err = db.exec(`INSERT INTO subscriptions (topic, subscriber, session, attach, expires_at, settled) VALUES (?, ?, ?, 1, `+seenUntil+`, ?)`,
		id, string(sub), at.Session, now, at.Session, out.Settled.AppendBinary([]byte{}))
	if err != nil {
		return out, nil, err
	}
	delete(s.topics, at)
	return out, nil, db.exec(`UPDATE topics SET subscribers = subscribers + 1 WHERE id = ?`, id)
}

// roomForSubscription holds a session to its quotas.
func (s *Store) roomForSubscription(db *conn, session string, newTopic bool) (refused, err error) {
	var topics, subscribers int
	if q := s.options; q.DurableSubscribers == 0 && q.Topics == 0 {
		return nil, nil
	}
	err = db.row(`SELECT count(*), coalesce(sum(subscribers), 0) FROM topics WHERE session = ?`, session).Scan(&topics, &subscribers)
	if err != nil {
		return nil, err
	}
	if q := s.options.DurableSubscribers; q > 0 && subscribers >= q {
		return storage.ErrQuota, nil
	}
	if q := s.options.Topics; q > 0 && newTopic && topics >= q {
		return storage.ErrQuota, nil
	}
	return nil, nil
}

// Unsubscribe implements storage.Subscriptions.
func (s *Store) Unsubscribe(ctx context.Context, sub storage.Subscriber, at storage.Topic) error {
	var topic int64
	err := s.writer.do(ctx, 1, func(db *conn) error {
		err := db.row(`SELECT id FROM topics WHERE session = ? AND name = ?`, at.Session, at.Name).Scan(&topic)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		n, err := db.change(`DELETE FROM subscriptions WHERE topic = ? AND subscriber = ?`, topic, string(sub))
		if err != nil || n == 0 {
			return err
		}
		return s.left(db, topic)
	})
	s.dirty.add(topic)
	return fail("unsubscribe", err)
}

// left counts a subscriber less. The topic stays, because its head must never fall; one that never had a message need not.
func (s *Store) left(db *conn, topic int64) error {
	clear(s.topics)
	err := db.exec(`UPDATE topics SET subscribers = subscribers - 1 WHERE id = ?`, topic)
	if err != nil || s.journal.head(topic, 0) > 0 {
		return err
	}
	return db.exec(`DELETE FROM topics WHERE id = ? AND head = 0 AND subscribers = 0`, topic)
}

// Attach implements storage.Subscriptions.
func (s *Store) Attach(ctx context.Context, session string, sub storage.Subscriber, bump bool) (out []storage.Subscription, err error) {
	err = s.writer.do(ctx, 1, func(db *conn) error {
		out = nil
		n, err := db.change(`UPDATE subscriptions SET attach = attach + ?, expires_at = `+seenUntil+` WHERE session = ? AND subscriber = ?`,
			bump, s.clock(), session, session, string(sub))
		if err != nil || n == 0 {
			return err
		}
		return db.rows(func(r *sql.Rows) error {
			got := storage.Subscription{Subscriber: sub, Topic: storage.Topic{Session: session}, Epoch: s.epoch}
			var settled []byte
			var topic int64
			err := r.Scan(&topic, &got.Topic.Name, &got.Head, &got.Attach, &settled)
			if err != nil {
				return err
			}
			got.Head = s.journal.head(topic, got.Head)
			got.Settled, err = storage.ParseRanges(settled)
			out = append(out, got)
			return err
		}, `SELECT t.id, t.name, t.head, s.attach, s.settled FROM subscriptions s JOIN topics t ON t.id = s.topic
			WHERE s.session = ? AND s.subscriber = ? ORDER BY t.name`, session, string(sub))
	})
	if err != nil {
		return nil, fail("attach", err)
	}
	return out, nil
}

// Settle implements storage.Subscriptions.
func (s *Store) Settle(ctx context.Context, batch []storage.Settlement) ([]storage.Subscription, error) {
	out := make([]storage.Subscription, len(batch))
	if len(batch) == 0 {
		return out, nil
	}
	var changed []int64
	err := s.writer.do(ctx, len(batch), func(db *conn) (err error) {
		changed = changed[:0]
		for i := range batch {
			var topic int64
			if out[i], topic, err = s.settle(db, &batch[i]); err != nil {
				return err
			}
			if topic != 0 {
				changed = append(changed, topic)
			}
		}
		return nil
	})
	s.dirty.add(changed...)
	if err != nil {
		return nil, fail("settle", err)
	}
	return out, nil
}

// settle merges one settlement, and gives its topic's id if that changed anything.
func (s *Store) settle(db *conn, b *storage.Settlement) (out storage.Subscription, topic int64, err error) {
	out = storage.Subscription{Subscriber: b.Subscriber, Topic: b.Topic, Epoch: s.epoch}
	var id int64
	var settled []byte
	err = db.row(`SELECT t.id, t.head, s.attach, s.settled FROM topics t JOIN subscriptions s ON s.topic = t.id AND s.subscriber = ?
		WHERE t.session = ? AND t.name = ?`, string(b.Subscriber), b.Topic.Session, b.Topic.Name).Scan(&id, &out.Head, &out.Attach, &settled)
	if errors.Is(err, sql.ErrNoRows) {
		return out, 0, nil
	} else if err != nil {
		return out, 0, err
	}
	out.Head = s.journal.head(id, out.Head)
	before, err := storage.ParseRanges(settled)
	if err != nil {
		return out, 0, err
	}
	var done storage.Ranges
	if b.Epoch == "" || b.Epoch == s.epoch {
		done = b.Acked
		if b.Attach == out.Attach {
			done = done.Union(b.GivenUp)
		}
	}
	out.Settled = before.Union(done.Intersect(storage.Span(1, out.Head)))
	merged := out.Settled.AppendBinary([]byte{})
	if bytes.Equal(merged, settled) {
		return out, 0, nil
	}
	return out, id, db.exec(`UPDATE subscriptions SET settled = ? WHERE topic = ? AND subscriber = ?`, merged, id, string(b.Subscriber))
}

// Seen implements storage.Subscriptions.
func (s *Store) Seen(ctx context.Context, session string, subs []storage.Subscriber) error {
	if len(subs) == 0 {
		return nil
	}
	err := s.writer.do(ctx, len(subs), func(db *conn) error {
		for _, sub := range subs {
			err := db.exec(`UPDATE subscriptions SET expires_at = `+seenUntil+` WHERE session = ? AND subscriber = ?`,
				s.clock(), session, session, string(sub))
			if err != nil {
				return err
			}
		}
		return nil
	})
	return fail("seen", err)
}
