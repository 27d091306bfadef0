package session

import (
	"log/slog"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/storage"
)

// Config is what a Node is made of.
type Config struct {
	NodeID    string
	Store     storage.Store
	Backplane backplane.Backplane
	Catalog   *Catalog
	Logger    *slog.Logger

	MaxPayload   int           // bytes in a frame; told to clients
	MaxRetention time.Duration // cap of a session's message expiry (MAX_RETENTION)
	OutboxBytes  int           // an ephemeral subscriber's waiting messages (OUTBOX_BYTES)
	MaxTopics    int           // subscriptions of a connection
	MaxOpenFiles int           // transfers of a session
	SweepEvery   time.Duration // retention's pace; 0: 1 s

	// Publish limits of a whole session on this node, a second; 0 is off.
	SessionMessageRate int
	SessionByteRate    int
}
