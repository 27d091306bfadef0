package backplane

import "github.com/fastport/fastport/metrics"

// Metered is a backplane that has something to tell of its own work.
type Metered interface {
	Stats() Stats
}

// Stats is what operators want to know of a node's end of the backplane. Counters never fall.
type Stats struct {
	Up            bool              // the subscribing side works
	RoundTrip     metrics.Histogram // of canaries, out and back, a second each
	Gaps          uint64            // how often the link was lost: whatever was live then was missed
	Deaf          uint64            // how often it was lost because nothing arrived that had been taken
	Published     uint64            // messages handed over
	PublishedSize uint64            // bytes sent, commands included
	Received      uint64            // messages
	ReceivedSize  uint64            // their bytes
	Refused       uint64            // what a full queue refused
	Unread        uint64            // messages of another version, another kind, or malformed: dropped
}
