package storage

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Desk is what a store has for operators alone: their logins, what they did, and looks that a broker has no need of.
type Desk interface {
	Logins
	Audits
	Looks
}

// Audit is one thing that an operator did, or tried to do.
type Audit struct {
	ID     int64     // ascending; set by the store
	At     time.Time // the store's clock; set by the store
	User   string
	Action string // such as "session.drop"
	Target string // what it was done to: a session's name, a node's ID; "": nothing in particular
	From   string // the operator's address
	Node   string // that took it
	Result string // AuditOK, or the code of the refusal
}

// AuditOK is the Result of what was done.
const AuditOK = "ok"

// AuditMost is how many audits a store keeps of those that were done, and as many of those that were not, so that
// guesses at a password do not push out what operators did. The oldest go first.
const AuditMost = 5000

// Audits holds what operators did.
type Audits interface {
	// SaveAudit adds one.
	SaveAudit(ctx context.Context, a Audit) error
	// Audits lists up to limit of them, the newest first: those with an ID below before, or all where it is 0.
	Audits(ctx context.Context, before int64, limit int) ([]Audit, error)
}

// Usage is what a session has in the store.
type Usage struct {
	Topics        int64 // that ever had a durable subscriber
	Subscriptions int64
	Messages      int64
	Bytes         int64 // of message data
	Devices       int64
	Users         int64 // with devices
	Wakes         int64 // messages that users may still have to be woken for
}

// Found is what the store knows of a message: never its data.
type Found struct {
	Topic     string
	Seq       uint64
	Known     time.Time // when it was stored; zero where only its row says so
	Stored    bool      // it is still there; else all have settled it, or it has expired
	StoredAt  time.Time // as all that follows, where it is Stored
	ExpiresAt time.Time
	Timestamp int64 // ms, the publisher's
	Origin    Subscriber
	Size      int  // bytes of data
	Wake      bool // somebody may still have to be woken for it

	Subscriptions int64      // of its topic
	Settled       int64      // of those: acked, given up, its own, or subscribed after it
	Positions     []Position // the first FoundPositions of them, in the order of what is owed first and of their names
}

// Position says whether a subscriber has settled a message.
type Position struct {
	Subscriber Subscriber
	Settled    bool
}

// Bounds of Find.
const (
	FoundTopics    = 20
	FoundPositions = 100
)

// Looks are an operator's. They may be slow on a large store, and hold nobody up.
type Looks interface {
	// Usage counts what a session has.
	Usage(ctx context.Context, session string) (Usage, error)
	// SessionDevices lists up to limit devices of a session behind one of a user, in the order of user and ID, without
	// their tokens.
	SessionDevices(ctx context.Context, session, afterUser, afterID string, limit int) ([]Device, error)
	// Find looks for a message by its ID, in one topic or, where that is "", in all of the session: at most in
	// FoundTopics of them, in the order of their names. None is no error.
	Find(ctx context.Context, session, topic, messageID string) ([]Found, error)
}

// Trim sorts the Positions and leaves FoundPositions of them.
func (f *Found) Trim() {
	slices.SortFunc(f.Positions, func(a, b Position) int {
		if a.Settled != b.Settled {
			if a.Settled {
				return 1
			}
			return -1
		}
		return strings.Compare(string(a.Subscriber), string(b.Subscriber))
	})
	f.Positions = f.Positions[:min(len(f.Positions), FoundPositions)]
}
