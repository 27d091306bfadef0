package admin

import (
	"context"
	"net/netip"
	"time"

	"golang.org/x/time/rate"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/session"
)

const (
	lockWindow  = 15 * time.Minute
	maxFailures = 5   // log-ins of an account from an address
	maxGuesses  = 100 // tokens from an address: beyond them the store is not asked any more
)

// failures counts what went wrong, on all nodes together.
type failures struct {
	counters backplane.Counters
	// alone stands in while the counters cannot be reached: slower for everyone, but never a free run at the password.
	alone *rate.Limiter
}

// attempt counts a log-in before it is tried, so that many at once are no way around the lock. locked says for how
// long no more are taken.
func (f *failures) attempt(ctx context.Context, user string, from netip.Addr) (locked time.Duration) {
	total, left, err := f.counters.Add(ctx, loginKey(user, from), 1, lockWindow)
	switch {
	case err != nil && f.alone.Allow():
		return 0
	case err != nil:
		return lockWindow / maxFailures
	case total > maxFailures:
		return max(left, time.Second)
	}
	return 0
}

// succeeded forgets the failures before.
func (f *failures) succeeded(ctx context.Context, user string, from netip.Addr) {
	// An error leaves a stricter count, until its window ends.
	_ = f.counters.Reset(ctx, loginKey(user, from))
}

// guess counts a token that nobody has.
func (f *failures) guess(ctx context.Context, from netip.Addr) {
	// A token cannot be guessed; the count only spares the store.
	_, _, _ = f.counters.Add(ctx, guessKey(from), 1, lockWindow)
}

func (f *failures) guessed(ctx context.Context, from netip.Addr) bool {
	total, _, err := f.counters.Add(ctx, guessKey(from), 0, lockWindow)
	return err == nil && total >= maxGuesses
}

func loginKey(user string, from netip.Addr) string {
	return "admin-login:" + session.AddressKey(from).String() + ":" + user
}

func guessKey(from netip.Addr) string { return "admin-token:" + session.AddressKey(from).String() }
