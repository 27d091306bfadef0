// Package backplane is what nodes share while they live: live copies in one order, notes of what was stored,
// control, presence and rate counters.
//
// Nothing in it matters for safety: it is fast, ordered and free to be lost, since the store (package storage) has
// the truth. Child packages are the technologies: memory for one process, redis for a cluster; both pass
// backplanetest.Run. All methods are safe for concurrent use.
package backplane

import (
	"context"
	"errors"
	"time"
)

// ErrUnavailable: the backplane cannot be reached, or did not answer in time. Whether others saw it is unknown.
var ErrUnavailable = errors.New("backplane: unavailable")

// Channel is a topic of a session.
type Channel struct {
	Session string // storage.Session.ID
	Topic   string
}

// Copy is a live copy of a published message. It is immutable once announced, and shared by its receivers.
type Copy struct {
	Channel   Channel
	MessageID string
	Data      []byte
	Hash      string
	Timestamp int64 // ms, as the publisher sent it
	QoS       uint8
	Retry     bool   // flagged: a repeat of something that was not stored
	Node      string // the announcing node
	Conn      uint64 // the publishing connection on it, which gets no copy
	Origin    string // the publishing subscriber, "" for an ephemeral one

	// Issued is when it was announced, on the clock of what carries the channel.
	Issued time.Time
	// Shared is the receiving process's own: what it made of the copy, so that it is made once. Not carried.
	Shared any
}

// Note tells what became of a Copy: the store gave it Seq, or it was not to be stored, or it failed.
type Note struct {
	Channel   Channel
	MessageID string
	Seq       uint64 // 0: nothing was stored
	Failed    bool   // it was refused after it had been announced
	Origin    string
	Epoch     string // of the store
}

// Heads tells the newest seq of a channel's topic.
type Heads struct {
	Channel Channel
	Seq     uint64
	Epoch   string
}

// Command is a word from node to node. Lost ones are made good by caches' short lives and by leases.
type Command struct {
	Kind       CommandKind
	Session    string // storage.Session.ID
	Name       string // of the session
	Subscriber string // TakeOver: who is attached elsewhere now
	Node       string // from
	Token      uint64 // TakeOver, Drain, Asked: echoed in Released, Answered
	To         string // Asked: which node; "": all
	Body       string // Asked, Answered: JSON, at most MaxCommandBody bytes; Drain: a topic
}

// MaxCommandBody bounds what a Command carries: every node gets every command.
const MaxCommandBody = 128 << 10

// CommandKind is what a Command asks for.
type CommandKind uint8

const (
	SessionDropped   CommandKind = iota + 1 // close its connections with 4003, forget it
	SessionSuspended                        // the same, it may come back
	SessionChanged                          // drop it from caches
	TakeOver                                // stop this subscriber, flush, and answer Released; without a Token: look who is newer
	Released
	Asked // by an operator, through the sending node: answer Answered
	Answered
	Drain // answer Released once every publish on a topic that is under way has been answered
)

// Receiver gets what arrives at a node. Calls about one channel come one at a time, in the channel's order, which is
// the same on every node. It must not block.
type Receiver interface {
	// Copies takes one copy or more, of one channel, in its order. The slice is the caller's again afterwards.
	Copies(cs []*Copy)
	Note(n *Note)
	Heads(h *Heads)
	Command(c *Command)
	// Link tells of the subscribing side: false when it is dead, true when it is back (everything must be attached
	// again: what came between is lost, and no join has outlived it). It is up until told otherwise.
	Link(up bool)
}

// Routes carries messages.
type Routes interface {
	// Announce sends c to every node joined to its channel, this one included. done is called once, from any
	// goroutine, perhaps before Announce returns: nil when c has its place in the channel's order.
	// Announces of one channel by one node keep their order. c is the backplane's from here on: it sets Issued.
	// With more the caller promises to announce another on this channel at once, for which this one may wait.
	Announce(c *Copy, more bool, done func(error))
	// Settle sends a note the same way. It never overtakes the copy that it is about.
	Settle(n *Note, done func(error))
	// SendHeads sends heads of topics to the nodes joined to their channels; best effort.
	SendHeads(h []Heads)
	// Join asks for a channel. When done(nil) is called everything announced from then on arrives here.
	Join(ch Channel, done func(error))
	// Leave ends that; a late copy may still arrive.
	Leave(ch Channel)
	// Fence calls at once in the channel's order, like a Receiver's method: what was announced before the call has
	// been received before, or never will be. The channel must be joined; at gets ErrUnavailable where it is not.
	Fence(ch Channel, at func(error))
}

// Control carries commands to every other node.
type Control interface {
	// Tell sends c, marked as from this node, to the Receivers of all others.
	Tell(ctx context.Context, c Command) error
}

// Node is what a node says of itself with each heartbeat.
type Node struct {
	ID      string
	Started time.Time
	Version string
	Address string // host:port of its data plane, where other nodes send files; "": it has none
	Figures []byte // JSON, for operators
}

// Lease is how long a node lives on without a Heartbeat.
const Lease = 10 * time.Second

// Presence says which users are connected anywhere. It rests on one lease a node, so its cost follows changes: before
// a node's first Heartbeat, and after its lease has ended, its users are not online.
type Presence interface {
	// SetPresence records how many connections this node holds for a user; 0 removes.
	SetPresence(ctx context.Context, session, user string, connections int) error
	// Online reports, for each user, whether a living node holds a connection.
	Online(ctx context.Context, session string, users []string) ([]bool, error)
	// Elsewhere is Online of the other nodes' connections alone.
	Elsewhere(ctx context.Context, session string, users []string) ([]bool, error)
	// Heartbeat renews this node's Lease and publishes its figures. What was set stands until it is set anew: where the
	// lease had ended, or what carries the backplane has forgotten, a Heartbeat or two put it right.
	Heartbeat(ctx context.Context, n Node) error
	// Nodes lists the living nodes, this one included once it has sent a heartbeat.
	Nodes(ctx context.Context) ([]Node, error)
}

// Counters counts across nodes, for rate limits and lock-outs.
type Counters interface {
	// Add adds n to key in its current window, which begins with the first Add and lasts window; it returns the
	// total and what is left of the window. n 0 reads, and begins no window: 0 and 0 where there is none.
	Add(ctx context.Context, key string, n int64, window time.Duration) (total int64, left time.Duration, err error)
	// Reset forgets a key.
	Reset(ctx context.Context, key string) error
}

// Leases name who holds a thing, for a time that the backplane measures.
type Leases interface {
	// Claim makes value the holder of key for ttl, or renews it. held is the holder then: another value where somebody
	// else holds the key.
	Claim(ctx context.Context, key, value string, ttl time.Duration) (held string, err error)
	// Holder is who holds key, "" for nobody.
	Holder(ctx context.Context, key string) (held string, err error)
	// Release ends value's hold on key; it does nothing where another holds it.
	Release(ctx context.Context, key, value string) error
}

// Backplane is one node's end of it.
type Backplane interface {
	Routes
	Control
	Presence
	Counters
	Leases
	// Fault says what is wrong with this node's own end of it, nil where nothing is: it is deaf although what carries
	// the backplane took what it sent. What carries it being out of reach for everyone is no node's own fault.
	Fault() error
	// Listen names who receives. Once, before the first Join. Where the link is down, r.Link(false) is called meanwhile.
	Listen(r Receiver)
	// Close ends this node's part; its lease and joins go at once. Idempotent. It must not be called by the Receiver.
	Close() error
}
