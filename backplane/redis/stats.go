package redis

import (
	"sync/atomic"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/metrics"
)

var _ backplane.Metered = (*Backplane)(nil)

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
	roundTrip     metrics.Times
}

// Stats reads them. They are not of one moment.
func (b *Backplane) Stats() backplane.Stats {
	c := &b.counts
	return backplane.Stats{
		Up:            b.link.Load() != nil,
		RoundTrip:     c.roundTrip.Read(),
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
