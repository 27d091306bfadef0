// Package storagetest is what every store must pass: the contract of package storage as claims, one test each.
//
// An implementation's own test calls Run, or fills a Harness if its store outlives its process or its clock can be
// moved. The suite knows nothing of how a store works: it makes sessions of its own and looks through the interface.
package storagetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"testing"
	"time"

	"github.com/fastport/fastport/storage"
)

// Harness says how to get at the stores of one implementation.
type Harness struct {
	// Open makes an empty store; whoever opens it has t close it.
	Open func(t *testing.T, o storage.Options) storage.Store

	// Advance moves the clock of a store. Nil: the suite waits until the store's own clock has moved.
	Advance func(t *testing.T, st storage.Store, d time.Duration)

	// Place makes room for a store that outlives its process (a path, a database's URL), and At opens what is there,
	// or makes it. Nil, both: the store dies with its process. The package's TestMain then begins with CrashChild(At):
	// the crash test runs the test binary again, and kills it.
	Place func(t *testing.T) string
	At    func(ctx context.Context, place string, o storage.Options) (storage.Store, error)
}

// Run puts the stores that open makes through the suite.
func Run(t *testing.T, open func(t *testing.T, o storage.Options) storage.Store) {
	Harness{Open: open}.Run(t)
}

// Run puts the harness's stores through the suite.
func (h Harness) Run(t *testing.T) {
	for _, group := range [][]claim{
		appendClaims, concurrencyClaims, readClaims, subscriptionClaims, catalogClaims, retentionClaims, loginClaims, pushClaims, deskClaims, sealedClaims,
	} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) { c.check(&rig{t: t, h: h, st: h.Open(t, c.options)}) })
		}
	}
	t.Run("BehavesLikeTheReference", h.checkModel)
	if h.Place != nil {
		t.Run("ReopenedHoldsWhatItHeld", h.checkReopened)
		t.Run("KilledWhileAppendingKeepsWhatItAcked", h.checkKilled)
	}
}

// claim is one promise of the contract and how it is looked at.
type claim struct {
	name    string
	options storage.Options
	check   func(r *rig)
}

// rig is a store under test and the shorthand to drive it. Its methods end the test on errors.
type rig struct {
	t  *testing.T
	h  Harness
	st storage.Store
}

func (r *rig) ctx() context.Context { return r.t.Context() }

// ok ends the test on an error.
func (r *rig) ok(err error, doing string) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s: %v", doing, err)
	}
}

// session makes a session with generous settings, changed by edit.
func (r *rig) session(edit ...func(*storage.Session)) storage.Session {
	r.t.Helper()
	ss := NewSession()
	for _, f := range edit {
		f(&ss)
	}
	r.ok(r.st.CreateSession(r.ctx(), ss), "create session")
	return ss
}

// NewSession is a session that no store holds yet.
func NewSession() storage.Session {
	return storage.Session{
		ID:                 randomID(),
		Name:               "s-" + randomID()[:12],
		PasswordHash:       "$argon2id$",
		SecretHash:         []byte{1, 2, 3},
		RetryInterval:      5 * time.Second,
		MaxRetryLimit:      100,
		MessageExpiry:      time.Hour,
		SubscriptionExpiry: 24 * time.Hour,
	}
}

func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// topic is a topic of a session of its own.
func (r *rig) topic() storage.Topic {
	r.t.Helper()
	return storage.Topic{Session: r.session().ID, Name: "news"}
}

func (r *rig) subscribe(sub storage.Subscriber, at storage.Topic) storage.Subscription {
	r.t.Helper()
	got, err := r.st.Subscribe(r.ctx(), sub, at, false)
	r.ok(err, "subscribe")
	return got
}

func (r *rig) unsubscribe(sub storage.Subscriber, at storage.Topic) {
	r.t.Helper()
	r.ok(r.st.Unsubscribe(r.ctx(), sub, at), "unsubscribe")
}

// entry is a message nobody in particular sent, good for an hour.
func entry(at storage.Topic, id string) storage.Entry {
	return storage.Entry{Topic: at, MessageID: id, Data: []byte("data of " + id), Expiry: time.Hour}
}

func (r *rig) append(group ...storage.Entry) []storage.Appended {
	r.t.Helper()
	got, epoch, err := r.st.Append(r.ctx(), group)
	r.ok(err, "append")
	if len(got) != len(group) {
		r.t.Fatalf("append: %d results for %d entries", len(got), len(group))
	}
	if epoch == "" {
		r.t.Fatal("append: no epoch")
	}
	return got
}

// stored appends one entry that must be stored, and gives its seq.
func (r *rig) stored(e storage.Entry) uint64 {
	r.t.Helper()
	got := r.append(e)[0]
	r.outcome(got, storage.Stored, nil)
	if got.Seq == 0 {
		r.t.Fatal("stored as seq 0")
	}
	return got.Seq
}

func (r *rig) outcome(got storage.Appended, want storage.Outcome, wantErr error) {
	r.t.Helper()
	if got.Outcome != want || !is(got.Err, wantErr) {
		r.t.Fatalf("outcome = %+v, want %d and error %v", got, want, wantErr)
	}
}

// read gives all there is after a seq, in pages of 7.
func (r *rig) read(at storage.Topic, after uint64) []storage.Message {
	r.t.Helper()
	var all []storage.Message
	for {
		page, err := r.st.Read(r.ctx(), at, after, 7, 1<<30)
		r.ok(err, "read")
		all = append(all, page.Messages...)
		if page.Through >= page.Head {
			return all
		}
		if page.Through <= after {
			r.t.Fatalf("read: a page after %d reaches through %d, head %d: no progress", after, page.Through, page.Head)
		}
		after = page.Through
	}
}

// seqs reads a topic's seqs and looks that they ascend.
func (r *rig) seqs(at storage.Topic) []uint64 {
	r.t.Helper()
	var out []uint64
	for _, m := range r.read(at, 0) {
		if len(out) > 0 && m.Seq <= out[len(out)-1] {
			r.t.Fatalf("read: seq %d after %d", m.Seq, out[len(out)-1])
		}
		out = append(out, m.Seq)
	}
	return out
}

func (r *rig) settle(s storage.Settlement) storage.Subscription {
	r.t.Helper()
	got, err := r.st.Settle(r.ctx(), []storage.Settlement{s})
	r.ok(err, "settle")
	if len(got) != 1 {
		r.t.Fatalf("settle: %d results, want 1", len(got))
	}
	return got[0]
}

func (r *rig) ack(sub storage.Subscriber, at storage.Topic, lo, hi uint64) storage.Subscription {
	r.t.Helper()
	return r.settle(storage.Settlement{Subscriber: sub, Topic: at, Acked: storage.Span(lo, hi)})
}

// sweep sweeps until nothing is left to do, and gives the sum.
func (r *rig) sweep() storage.Swept {
	r.t.Helper()
	var sum storage.Swept
	for range 10_000 {
		got, err := r.st.Sweep(r.ctx())
		r.ok(err, "sweep")
		sum.Settled += got.Settled
		sum.Expired += got.Expired
		sum.IDs += got.IDs
		sum.Subscriptions += got.Subscriptions
		sum.Logins += got.Logins
		sum.Sessions = append(sum.Sessions, got.Sessions...)
		if !got.More {
			return sum
		}
	}
	r.t.Fatal("sweep: there is always more")
	return sum
}

func (r *rig) totals() storage.Totals {
	r.t.Helper()
	got, err := r.st.Totals(r.ctx())
	r.ok(err, "totals")
	return got
}

// pass lets time pass on the store's clock.
func (r *rig) pass(d time.Duration) {
	r.t.Helper()
	if r.h.Advance != nil {
		r.h.Advance(r.t, r.st, d)
		return
	}
	end := r.now().Add(d)
	for tick := time.NewTicker(5 * time.Millisecond); r.now().Before(end); {
		<-tick.C
	}
}

func (r *rig) now() time.Time {
	r.t.Helper()
	now, err := r.st.Now(r.ctx())
	r.ok(err, "now")
	return now
}
