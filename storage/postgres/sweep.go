package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/fastport/fastport/storage"
)

// Bounds of a sweep. A bite is one transaction and holds its topics' locks for a few milliseconds.
const (
	bite          = 1000  // messages
	bites         = 100   // of each kind a sweep
	idBite        = 10000 // message ids: no topic waits for them
	lookBite      = 10000 // subscriptions looked at a sweep
	sessionsSwept = 20
)

// round is where the sweeps of this node are in their way round the subscriptions.
type round struct {
	mu         sync.Mutex // guards the following
	topic      int64
	subscriber string
}

// Sweep implements storage.Keeper. The server itself finds room again after a full disk: there is nothing to probe.
func (s *Store) Sweep(ctx context.Context) (swept storage.Swept, err error) {
	ctx, cancel := bound(ctx)
	defer cancel()
	for _, kind := range []func(context.Context, *storage.Swept) error{
		s.sweepSessions, s.sweepSubscriptions, s.sweepSettled, s.sweepExpired, s.sweepIDs, s.sweepLogins,
	} {
		if err := kind(ctx, &swept); err != nil {
			return swept, failed(ctx, "sweep", err)
		}
	}
	return swept, nil
}

func (s *Store) sweepSessions(ctx context.Context, swept *storage.Swept) error {
	ids, err := query(ctx, s, each(pgx.RowTo[string]),
		"SELECT id FROM sessions WHERE expires_at <= clock_timestamp() ORDER BY expires_at LIMIT $1", sessionsSwept)
	if err != nil {
		return err
	}
	swept.More = swept.More || len(ids) == sessionsSwept
	for _, id := range ids {
		dropped, err := query(ctx, s, each(scanSession), "SELECT "+sessionColumns+" FROM drop_session($1, true)", id)
		if err != nil {
			return err
		}
		swept.Sessions = append(swept.Sessions, dropped...) // none where another node was quicker
	}
	return nil
}

func (s *Store) sweepSubscriptions(ctx context.Context, swept *storage.Swept) error {
	s.round.mu.Lock()
	topic, subscriber := s.round.topic, s.round.subscriber
	s.round.mu.Unlock()
	var removed, next *int64
	var nextSubscriber *string
	err := s.row(ctx, `
		SELECT removed, next_topic, next_subscriber FROM sweep_subscriptions($1, $2, $3)`, topic, subscriber, lookBite,
	).Scan(&removed, &next, &nextSubscriber)
	if err != nil || removed == nil {
		return err
	}
	swept.Subscriptions += int(*removed)
	s.round.mu.Lock()
	defer s.round.mu.Unlock()
	s.round.topic, s.round.subscriber = 0, ""
	if next != nil {
		s.round.topic, s.round.subscriber = *next, *nextSubscriber
	}
	return nil
}

func (s *Store) sweepSettled(ctx context.Context, swept *storage.Swept) error {
	return s.bites(swept, &swept.Settled, func() (removed *int64, more bool, err error) {
		err = s.row(ctx, "SELECT removed, more FROM sweep_settled($1)", bite).Scan(&removed, &more)
		return removed, more, err
	})
}

func (s *Store) sweepExpired(ctx context.Context, swept *storage.Swept) error {
	return s.bites(swept, &swept.Expired, func() (removed *int64, more bool, err error) {
		err = s.row(ctx, "SELECT sweep_expired($1)", bite).Scan(&removed)
		return removed, removed != nil && *removed >= bite, err
	})
}

func (s *Store) sweepIDs(ctx context.Context, swept *storage.Swept) error {
	return s.bites(swept, &swept.IDs, func() (removed *int64, more bool, err error) {
		err = s.row(ctx, "SELECT sweep_ids($1, $2)", s.options.DedupeWindow, idBite).Scan(&removed)
		return removed, removed != nil && *removed >= idBite, err
	})
}

func (s *Store) sweepLogins(ctx context.Context, swept *storage.Swept) error {
	tag, err := s.exec(ctx, "DELETE FROM admin_logins WHERE created_at <= clock_timestamp() - $1::interval", storage.LoginKept)
	swept.Logins += int(tag.RowsAffected())
	return err
}

// bites takes bites until there is no more, another node sweeps (removed is nil), or this sweep has had enough.
func (s *Store) bites(swept *storage.Swept, count *int, take func() (removed *int64, more bool, err error)) error {
	for range bites {
		removed, more, err := take()
		if err != nil || removed == nil {
			return err
		}
		*count += int(*removed)
		if !more {
			return nil
		}
	}
	swept.More = true
	return nil
}
