// Package storage is what outlives a node: sessions, durable subscriptions, messages until they are acked.
//
// The store is the one truth of the broker and its seq the one position. A topic's messages are numbered 1, 2, 3, …
// without gaps, in the order in which they committed; only what a durable subscriber is owed is stored and numbered.
// A durable subscription remembers what it has settled as ranges of seq ([Ranges]), so an ack out of order costs a
// range, not a row. A message goes when every durable subscription of its topic has settled it, or it has expired.
//
// Child packages are the technologies: memory, sqlite, postgres. All pass storagetest.Run.
// All methods are safe for concurrent use. A context's deadline bounds the wait; it never cancels a commit that has
// begun: after an error that is not one of this package's sentinels the outcome is unknown, and repeating is safe.
package storage

import (
	"context"
	"errors"
	"time"
)

// Errors of every store. Anything else that a method returns is the store's own trouble: treat it as ErrUnavailable.
var (
	ErrExists      = errors.New("storage: exists already")
	ErrNotFound    = errors.New("storage: not found")
	ErrNoSession   = errors.New("storage: no such session")
	ErrQuota       = errors.New("storage: quota exceeded")
	ErrFull        = errors.New("storage: disk full")       // reads, settles and deletes go on
	ErrUnavailable = errors.New("storage: unavailable")     // may work later
	ErrInvalid     = errors.New("storage: invalid content") // this entry can never be stored, e.g. text with U+0000
)

// Store is all of it. An implementation says so with: var _ storage.Store = (*Store)(nil).
type Store interface {
	Catalog
	Mailbox
	Subscriptions
	Desk
	Waker
	Sealed
	Keeper
	// Now is the store's clock, which alone decides expiry.
	Now(ctx context.Context) (time.Time, error)
	// Close waits for what has begun. Idempotent.
	Close() error
}

// Disk is what a store is besides whose room is this node's own matter.
type Disk interface {
	// Full reports whether messages are refused with ErrFull. Reads, settles and deletes go on.
	Full() bool
}

// Session is a tenant: a virtual broker of its own.
type Session struct {
	ID                 string // 32 hex digits, random; never reused, never shown to clients
	Name               string
	PasswordHash       string // argon2id, PHC string
	SecretHash         []byte // SHA-256 of the secretKey
	RetryInterval      time.Duration
	MaxRetryLimit      int
	MessageExpiry      time.Duration // 0: the server's cap
	ExpiresAt          time.Time     // zero: never
	SubscriptionExpiry time.Duration
	Suite              int // 0: any
	KeyCheck           string
	FCMKey             []byte // sealed under MASTER_KEY
	FCMConfig          []byte // sealed under MASTER_KEY
	Suspended          bool
	Version            int64 // counts changes; a cached credential is good for one version
	CreatedAt          time.Time
}

// Catalog holds the sessions.
type Catalog interface {
	// CreateSession stores s; CreatedAt and Version 1 are set by the store. ErrExists if the name is taken.
	CreateSession(ctx context.Context, s Session) error
	// Session finds a session by name, expired ones included until they are swept. ErrNotFound.
	Session(ctx context.Context, name string) (Session, error)
	// Sessions lists up to limit sessions with names after `after`, in the order of their bytes: all, or those whose
	// names hold match, whatever its case.
	Sessions(ctx context.Context, match, after string, limit int) ([]Session, error)
	// States tells what has become of sessions, by ID, in the order given. Cheap for hundreds of them: nodes ask every
	// two seconds about those that they serve, since a word about a change can be lost between them.
	States(ctx context.Context, ids []string) ([]State, error)
	// SuspendSession sets or clears the suspension and bumps Version. ErrNotFound.
	SuspendSession(ctx context.Context, name string, suspended bool) (Session, error)
	// DropSession deletes the session and everything that is its own, at once. It returns what was dropped. ErrNotFound.
	DropSession(ctx context.Context, name string) (Session, error)
	// Totals counts for the whole store; exact, or a good estimate on a large one.
	Totals(ctx context.Context) (Totals, error)
}

// State is what may change about a session.
type State struct {
	Version   int64 // 0: there is no such session (any more)
	Suspended bool
}

// Totals is what an operator sees of the store.
type Totals struct {
	Sessions      int64
	Subscriptions int64
	Messages      int64
	Bytes         int64 // of message data
	Wakes         int64 // messages that users may still have to be woken for
}

// Topic names a topic of a session.
type Topic struct {
	Session string // Session.ID
	Name    string
}

// Subscriber names a durable subscriber inside its session: "c:"+clientId or "u:"+userId, so that the two never meet.
// The empty string is nobody: an ephemeral connection.
type Subscriber string

// Entry is a message to append.
type Entry struct {
	Topic     Topic
	MessageID string
	Origin    Subscriber // its own subscription, if it has one, settles the message at once: nobody is owed their own
	Data      []byte
	Hash      string
	Timestamp int64         // ms, as the publisher sent it
	Expiry    time.Duration // from the commit, by the store's clock; > 0
	Wake      time.Duration // if it is stored, users may have to be woken for it after this; 0: nobody
}

// Outcome is what became of an Entry.
type Outcome uint8

const (
	Failed    Outcome = iota // see Err
	Stored                   // numbered Seq and committed
	Repeat                   // the same (topic, MessageID) was stored within the dedupe window, as Seq
	NotStored                // no durable subscriber but perhaps the origin is owed it: nothing was written
)

// Appended answers one Entry.
type Appended struct {
	Outcome Outcome
	Seq     uint64 // 0 where NotStored
	Err     error  // ErrNoSession, ErrQuota, ErrInvalid, ErrFull, ErrUnavailable
}

// Message is a stored message.
type Message struct {
	Seq       uint64
	MessageID string
	Origin    Subscriber
	Data      []byte
	Hash      string
	Timestamp int64     // ms, the publisher's
	StoredAt  time.Time // the store's clock
	ExpiresAt time.Time
}

// Page is one read of a topic, from one snapshot.
type Page struct {
	Messages []Message // ascending Seq, none expired
	// Head is the topic's newest seq in the snapshot. A seq of at most Through without a message here has none any
	// more: expired, swept, or failed for good.
	Head    uint64
	Through uint64 // how far this page reaches: Head, or the last Message's Seq where a limit cut it
	Epoch   string
}

// Mailbox holds the messages.
type Mailbox interface {
	// Append commits a group, each entry by itself accepted or refused, in the order given: entries of one topic get
	// ascending seqs. When it returns, what is Stored has been synced to disk. A group that fails for one member's
	// sake is retried member by member. Epoch names the store's history: another one than before means that what
	// was acked may be gone (a failover without a synchronous standby) and every position must be read again.
	Append(ctx context.Context, group []Entry) (results []Appended, epoch string, err error)
	// Read returns messages of t with Seq > after, at most limit and, beyond the first, at most bytes of data.
	Read(ctx context.Context, t Topic, after uint64, limit, bytes int) (Page, error)
	// Heads returns the newest seq of each topic, 0 where there is none.
	Heads(ctx context.Context, topics []Topic) (heads []uint64, epoch string, err error)
}

// Subscription is a durable subscription.
type Subscription struct {
	Subscriber Subscriber
	Topic      Topic
	// Attach counts the connections that took this subscription. A give-up counts only under the current number.
	Attach  int64
	Settled Ranges // acked, given up, one's own, or older than the subscription
	Head    uint64 // the topic's newest seq, read together with Settled
	Epoch   string
}

// Settlement tells a subscription what it need not get any more.
type Settlement struct {
	Subscriber Subscriber
	Topic      Topic
	Acked      Ranges // a fact, whoever brings it
	GivenUp    Ranges // counts only while Attach is current
	Attach     int64
	// Epoch is the history that the seqs are of. Where the store's is another by now, they name other messages and
	// settle nothing. Empty: whatever it is.
	Epoch string
}

// Subscriptions holds the durable subscriptions.
type Subscriptions interface {
	// Subscribe makes the subscription, positioned at the topic's head, or returns the one there is with its
	// position. attach bumps Attach, which is 1 or more from the start. It locks the topic like Append: a message is
	// either before it or owed. ErrNoSession; ErrQuota where the session has too many subscriptions or topics.
	Subscribe(ctx context.Context, sub Subscriber, t Topic, attach bool) (Subscription, error)
	// Unsubscribe deletes the subscription; none is no error.
	Unsubscribe(ctx context.Context, sub Subscriber, t Topic) error
	// Attach returns all subscriptions of a subscriber in the order of their topics' bytes; bump raises Attach of each,
	// and all count as seen now.
	Attach(ctx context.Context, session string, sub Subscriber, bump bool) ([]Subscription, error)
	// Settle merges (union) in one batch and returns each subscription as merged, in the order given. What lies beyond
	// the topic's head is left out, and all that is of another history (see Settlement.Epoch), so that nothing settles
	// what is still to come. A subscription that is gone comes back with Attach 0.
	Settle(ctx context.Context, batch []Settlement) ([]Subscription, error)
	// Seen renews the subscriptions of subscribers that are attached, so that they do not expire.
	Seen(ctx context.Context, session string, subs []Subscriber) error
}

// Login is an operator's session at the admin API.
type Login struct {
	TokenHash []byte // SHA-256 of the token
	User      string
	CreatedAt time.Time
	SeenAt    time.Time
}

// Logins holds the operators' sessions, so that any node knows a login.
type Logins interface {
	// SaveLogin stores a new login, CreatedAt and SeenAt now by the store's clock.
	SaveLogin(ctx context.Context, tokenHash []byte, user string) error
	// Login finds a login that was used within idle and made within max, and marks it used. ErrNotFound.
	Login(ctx context.Context, tokenHash []byte, idle, max time.Duration) (Login, error)
	// DeleteLogins forgets one login, or all of user's where tokenHash is nil.
	DeleteLogins(ctx context.Context, tokenHash []byte, user string) error
}

// Swept counts what a sweep removed.
type Swept struct {
	Settled       int // messages that every durable subscriber had settled
	Expired       int // messages past their expiry
	IDs           int // message ids past the dedupe window
	Subscriptions int // not seen for their session's SubscriptionExpiry
	Logins        int
	Sessions      []Session // past their ExpiresAt, with all that was theirs
	More          bool      // a limit cut it: sweep again soon
}

// Keeper keeps retention's promise: what is no longer owed leaves the disk.
type Keeper interface {
	// Sweep removes what is due, by the store's clock, in bounded bites, and scrubs it from the files. Idempotent;
	// while another node sweeps it returns at once, empty. It also probes for room again after ErrFull.
	Sweep(ctx context.Context) (Swept, error)
}

// Options are what every store takes.
type Options struct {
	DedupeWindow       time.Duration // 0: protocol.DedupeWindow
	StoredBytes        int64         // message data of one session; 0: no quota
	DurableSubscribers int           // subscriptions of one session; 0: no quota
	Topics             int           // topics of one session that ever had a durable subscriber; 0: no quota
	Audits             int           // of each kind; 0: AuditMost
}

// LoginKept is how long a login is kept, used or not, before Sweep removes it. Login's max is never longer.
const LoginKept = 24 * time.Hour
