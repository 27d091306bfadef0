package redis

import (
	"sync/atomic"
	"time"
)

// counts is what a node counts over its life.
type counts struct {
	published     atomic.Uint64
	refused       atomic.Uint64
	sentBytes     atomic.Uint64
	received      atomic.Uint64
	receivedBytes atomic.Uint64
	unread        atomic.Uint64
	gaps          atomic.Uint64
	deaf          atomic.Uint64
	roundTrip     atomic.Int64
}

// Stats is what operators want to know of a node's end of the backplane. Counters never fall.
type Stats struct {
	Up            bool          // the subscribing side works
	RoundTrip     time.Duration // of the last canary, out and back; 0 before the first
	Gaps          uint64        // how often the link was lost: whatever was live then was missed
	Deaf          uint64        // how often it was lost because nothing arrived that Redis had taken
	Published     uint64        // messages handed to Redis
	PublishedSize uint64        // bytes written to it, commands included
	Received      uint64        // messages from Redis
	ReceivedSize  uint64        // their bytes
	Refused       uint64        // what a full queue refused
	Unread        uint64        // messages of another version, another kind, or malformed: dropped
}

// Stats reads them. They are not of one moment.
func (b *Backplane) Stats() Stats {
	c := &b.counts
	return Stats{
		Up:            b.link.Load() != nil,
		RoundTrip:     time.Duration(c.roundTrip.Load()),
		Gaps:          c.gaps.Load(),
		Deaf:          c.deaf.Load(),
		Published:     c.published.Load(),
		PublishedSize: c.sentBytes.Load(),
		Received:      c.received.Load(),
		ReceivedSize:  c.receivedBytes.Load(),
		Refused:       c.refused.Load(),
		Unread:        c.unread.Load(),
	}
}
