package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/fastport/fastport/storage"
)

// Subscribe implements storage.Subscriptions. Nodes that subscribe at once may pass a quota by what is in flight.
func (s *Store) Subscribe(ctx context.Context, sub storage.Subscriber, at storage.Topic, attach bool) (storage.Subscription, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	if sub == "" {
		return storage.Subscription{}, storage.ErrInvalid // nobody cannot be owed anything
	}
	var status int16
	var number, head *int64
	var settled *string
	out := storage.Subscription{Subscriber: sub, Topic: at}
	err := s.row(ctx, `
		SELECT status, attach, settled, head, epoch FROM subscribe_topic($1, $2, $3, $4, $5, $6)`,
		at.Session, at.Name, string(sub), attach, s.options.DurableSubscribers, s.options.Topics,
	).Scan(&status, &number, &settled, &head, &out.Epoch)
	if err == nil {
		err = s.admit(out.Epoch)
	}
	switch {
	case err != nil:
		return storage.Subscription{}, failed(ctx, "subscribe", err)
	case status == noSession:
		return storage.Subscription{}, storage.ErrNoSession
	case status == overQuota:
		return storage.Subscription{}, storage.ErrQuota
	case number == nil || settled == nil || head == nil:
		return storage.Subscription{}, fmt.Errorf("postgres: subscribe: status %d without a row", status)
	}
	out.Attach, out.Head = *number, uint64(*head)
	out.Settled, err = parseMultirange(*settled)
	return out, err
}

// Unsubscribe implements storage.Subscriptions.
func (s *Store) Unsubscribe(ctx context.Context, sub storage.Subscriber, at storage.Topic) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	_, err := s.exec(ctx, "SELECT unsubscribe_topic($1, $2, $3)", at.Session, at.Name, string(sub))
	return failed(ctx, "unsubscribe", err)
}

// Attach implements storage.Subscriptions.
func (s *Store) Attach(ctx context.Context, session string, sub storage.Subscriber, bump bool) ([]storage.Subscription, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	out, err := query(ctx, s, each(func(row pgx.CollectableRow) (storage.Subscription, error) {
		held := storage.Subscription{Subscriber: sub, Topic: storage.Topic{Session: session}}
		var settled string
		if err := row.Scan(&held.Topic.Name, &held.Attach, &settled, &held.Head, &held.Epoch); err != nil {
			return held, err
		}
		var err error
		held.Settled, err = parseMultirange(settled)
		return held, err
	}), `
		SELECT name, attach, settled, head, epoch FROM attach_subscriber($1, $2, $3)`, session, string(sub), bump)
	if err == nil && len(out) > 0 {
		err = s.admit(out[0].Epoch)
	}
	if err != nil {
		return nil, failed(ctx, "attach", err)
	}
	return out, nil
}

// Settle implements storage.Subscriptions.
func (s *Store) Settle(ctx context.Context, batch []storage.Settlement) ([]storage.Subscription, error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	if len(batch) == 0 {
		return nil, nil
	}
	n := len(batch)
	sessions, names, subscribers := make([]string, n), make([]string, n), make([]string, n)
	acked, givenUp, attach, epochs := make([]string, n), make([]string, n), make([]int64, n), make([]string, n)
	for i, b := range batch {
		sessions[i], names[i], subscribers[i] = b.Topic.Session, b.Topic.Name, string(b.Subscriber)
		acked[i], givenUp[i], attach[i] = multirange(b.Acked), multirange(b.GivenUp), b.Attach
		epochs[i] = b.Epoch
	}
	var settled []string
	var heads []uint64
	var epoch string
	err := s.row(ctx, `
		SELECT attach, settled, heads, epoch FROM settle_subscriptions($1, $2, $3, $4, $5, $6, $7)`,
		sessions, names, subscribers, acked, givenUp, attach, epochs).Scan(&attach, &settled, &heads, &epoch)
	if err == nil {
		err = s.admit(epoch)
	}
	if err != nil {
		return nil, failed(ctx, "settle", err)
	}
	out := make([]storage.Subscription, n)
	for i, b := range batch {
		out[i] = storage.Subscription{Subscriber: b.Subscriber, Topic: b.Topic, Attach: attach[i], Head: heads[i], Epoch: epoch}
		if out[i].Settled, err = parseMultirange(settled[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Seen implements storage.Subscriptions.
func (s *Store) Seen(ctx context.Context, session string, subs []storage.Subscriber) error {
	ctx, cancel := bound(ctx)
	defer cancel()
	names := make([]string, len(subs))
	for i, sub := range subs {
		names[i] = string(sub)
	}
	_, err := s.exec(ctx, `
		UPDATE subscriptions s SET seen_at = clock_timestamp()
		FROM (
			SELECT topic, subscriber FROM subscriptions
			WHERE session = $1 AND subscriber = ANY ($2)
			ORDER BY topic, subscriber
			FOR NO KEY UPDATE
		) held
		WHERE s.topic = held.topic AND s.subscriber = held.subscriber`, session, names)
	return failed(ctx, "seen", err)
}
