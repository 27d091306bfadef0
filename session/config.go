package session

import (
	"errors"
	"io"
	"log/slog"
	"runtime"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// Config is what a Node is made of. What is left zero takes its default, except where it says otherwise.
type Config struct {
	NodeID    string // required
	Store     storage.Store
	Backplane backplane.Backplane
	Catalog   *Catalog
	Logger    *slog.Logger

	// Describe adds to each heartbeat what the whole node says of itself: its version, the address of its data plane,
	// its figures. nil: nothing. It must not block.
	Describe func(self *backplane.Node)

	// Operators takes what operators ask this node through others, and what others answer. nil: nobody. It must not
	// block.
	Operators func(c *backplane.Command)

	Links   Links  // ways to the other nodes, for files; nil: this node's files stay within it
	Address string // host:port of what Links listens on, as other nodes dial it

	MaxPayload   int           // bytes in a frame; told to clients
	MaxRetention time.Duration // cap of a session's message expiry (MAX_RETENTION)
	OutboxBytes  int           // an ephemeral subscriber's waiting messages (OUTBOX_BYTES)
	MaxTopics    int           // subscriptions of a connection
	MaxInFlight  int           // unacked messages out to one connection
	MaxOpenFiles int           // transfers of a session
	SweepEvery   time.Duration // retention's pace; 0: 1 s
	FlushEvery   time.Duration // how often settled ranges go to the store; 0: 1 s

	// Publish limits of a whole session on this node, a second; 0 is off.
	SessionMessageRate int
	SessionByteRate    int

	Committers int // groups that commit at once, each with topics of its own; 0: 1
	QueueBytes int // message data waiting for its commit; beyond it publishes are refused; 0: 64 MiB
	Readers    int // reads of the store at once for subscribers that are behind; 0: two a core
}

// queueEntries bounds the publishes that wait for one committer, whatever their size.
const queueEntries = 1 << 16

// complete fills in the defaults and reports every fault at once.
func (c *Config) complete() error {
	var faults []error
	for _, need := range []struct {
		name string
		ok   bool
	}{{"NodeID", c.NodeID != ""}, {"Store", c.Store != nil}, {"Backplane", c.Backplane != nil}, {"Catalog", c.Catalog != nil}} {
		if !need.ok {
			faults = append(faults, errors.New("session: Config."+need.name+" is missing"))
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	orInt(&c.MaxPayload, protocol.MaxPayload)
	orInt(&c.OutboxBytes, protocol.OutboxBytes)
	orInt(&c.MaxTopics, protocol.MaxTopics)
	orInt(&c.MaxInFlight, protocol.MaxInFlight)
	orInt(&c.MaxOpenFiles, protocol.MaxOpenFiles)
	orInt(&c.Committers, 1)
	orInt(&c.QueueBytes, 64<<20)
	orInt(&c.Readers, 2*runtime.GOMAXPROCS(0))
	if c.MaxRetention <= 0 {
		c.MaxRetention = protocol.MaxRetention
	}
	if c.SweepEvery <= 0 {
		c.SweepEvery = time.Second
	}
	if c.FlushEvery <= 0 {
		c.FlushEvery = time.Second
	}
	return errors.Join(faults...)
}

func orInt(v *int, otherwise int) {
	if *v <= 0 {
		*v = otherwise
	}
}
