package storage

import (
	"context"
	"time"
)

// Waker is what a store has for users who are not connected: their devices, and the messages that they may have to be
// woken for.
type Waker interface {
	Devices
	Outbox
}

// Device is a phone or a browser that can be woken for a user.
type Device struct {
	Session   string // Session.ID
	User      string
	ID        string
	Platform  string
	Token     []byte // sealed under MASTER_KEY
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Devices holds who can be woken where.
type Devices interface {
	// SaveDevice stores a device, or a known one's new platform and token; the times are the store's. ErrNoSession;
	// ErrQuota where the user has protocol.MaxDevices others.
	SaveDevice(ctx context.Context, d Device) error
	// DeleteDevice forgets a device; where token is given, only while it is the device's. It reports whether it did.
	DeleteDevice(ctx context.Context, session, user, id string, token []byte) (bool, error)
	// Devices lists the devices of some users of a session, in the order of user and ID.
	Devices(ctx context.Context, session string, users []string) ([]Device, error)
	// Own makes a client's ("c:…") messages a user's, who is woken for them from then on. A bare user's are their own.
	Own(ctx context.Context, session string, sub Subscriber, user string) error
}

// Wake is a row of the outbox: a stored message, and that somebody may have to be woken for it.
type Wake struct {
	Topic       Topic
	Seq         uint64
	SessionName string
	Config      []byte // Session.FCMConfig
	MessageID   string
	Timestamp   int64 // ms, the publisher's
	Data        []byte
	Age         time.Duration // since it was stored, by the store's clock
	Left        time.Duration // until it expires
	Attempts    int           // claims before this one
}

// Owing says that a user is still owed a message.
type Owing struct {
	Subscriber Subscriber
	User       string
	Seq        uint64 // the newest that was asked for and is owed
}

// Outbox holds the messages that somebody may have to be woken for. Append writes a row with a message whose Entry says
// so; it goes when it is done, or with its message.
type Outbox interface {
	// ClaimWakes takes up to limit rows that are due, the longest due first; nobody else gets them before lease has
	// passed. Those of the sessions in busy are left.
	ClaimWakes(ctx context.Context, limit int, lease time.Duration, busy []string) ([]Wake, error)
	// Owed pages, in the order of Subscriber, through the subscriptions of t that belong to a user and have not settled
	// one of seqs that is newer than what they were woken for.
	Owed(ctx context.Context, t Topic, seqs []uint64, after Subscriber, limit int) ([]Owing, error)
	// Woken records that these users were woken for messages up to their Seq.
	Woken(ctx context.Context, t Topic, list []Owing) error
	// PutOff makes rows of t due again in wait. What is not there is no error.
	PutOff(ctx context.Context, t Topic, seqs []uint64, wait time.Duration) error
	// Done deletes rows of t.
	Done(ctx context.Context, t Topic, seqs []uint64) error
}
