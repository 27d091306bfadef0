package session

import (
	"sync/atomic"

	"github.com/fastport/fastport/metrics"
	"github.com/fastport/fastport/protocol"
)

// figures count what the node does. All only grow, but connections.
type figures struct {
	connections                                 [protocol.Version2 + 1]atomic.Int64 // by version; 0: not logged in yet
	rejected, malformed, dropped, slow          atomic.Int64
	late, duplicates, repairs, rewinds, severed atomic.Int64
	givenUp, expired, swept, commitFailures     atomic.Int64
	errors                                      *metrics.Labels // by protocol.Code

	// What publishers move and what subscribers move lie apart: the cores that do one do not wait for those of the other.
	_                                                   [64]byte
	publishes, acked, refused, limited, stored, repeats atomic.Int64
	_                                                   [64]byte
	deliveries, redeliveries, acks                      atomic.Int64
	ackTime, deliveryTime, commitTime                   metrics.Times
	commitSize                                          metrics.Sizes
}

// Stats is a snapshot of what the node does. Counters begin with the node.
type Stats struct {
	Connections int64             // now
	ByVersion   [3]int64          // the same by version of the protocol; 0: not logged in yet
	Sessions    int64             // with connections or topics here, now
	Link        bool              // the backplane's subscribing side is up
	Peers       int64             // other living nodes
	Rejected    int64             // inits
	Malformed   int64             // frames
	Errors      map[string]uint64 // told to clients, by protocol.Code

	Publishes      int64 // accepted
	Acked          int64
	Refused        int64
	Limited        int64 // by the session's rates
	Stored         int64
	Repeats        int64 // of publishes, found by the store
	CommitFailures int64 // groups, to be tried again
	CommitTime     metrics.Histogram
	CommitSize     metrics.Histogram // entries in a group
	AckTime        metrics.Histogram // from a publish's arrival to its ack

	Deliveries   int64 // first tries and replays
	Redeliveries int64
	DeliveryTime metrics.Histogram // from a copy's announce, on any node, to the first connection here that it is queued for
	Acks         int64             // of deliveries
	GivenUp      int64
	Expired      int64 // before they were acked
	Dropped      int64 // qos 0, window full
	Slow         int64 // ephemeral subscribers closed for what waited
	Late         int64 // live copies older than 2 s
	Duplicates   int64
	Repairs      int64 // gaps read back from the store
	Rewinds      int64 // topics whose history changed
	Severed      int64 // times that the link went down
	Swept        int64 // messages

	OpenFiles    int64  // whose home is here, now
	FileBytesIn  uint64 // payloads of their chunks taken from senders, on any node
	FileBytesOut uint64 // and handed to receivers
}

// Stats tells what the node does.
func (n *Node) Stats() Stats {
	f := &n.figures
	n.mu.RLock()
	sessions := len(n.tenants)
	n.mu.RUnlock()
	s := Stats{
		Sessions: int64(sessions), Link: !n.down.Load(), Peers: n.peers.Load(),
		Rejected: f.rejected.Load(), Malformed: f.malformed.Load(), Errors: f.errors.Read(),
		Publishes: f.publishes.Load(), Acked: f.acked.Load(), Refused: f.refused.Load(), Limited: f.limited.Load(),
		Stored: f.stored.Load(), Repeats: f.repeats.Load(), CommitFailures: f.commitFailures.Load(),
		CommitTime: f.commitTime.Read(), CommitSize: f.commitSize.Read(), AckTime: f.ackTime.Read(),
		Deliveries: f.deliveries.Load(), Redeliveries: f.redeliveries.Load(), DeliveryTime: f.deliveryTime.Read(),
		Acks: f.acks.Load(), GivenUp: f.givenUp.Load(), Expired: f.expired.Load(), Dropped: f.dropped.Load(),
		Slow: f.slow.Load(), Late: f.late.Load(), Duplicates: f.duplicates.Load(), Repairs: f.repairs.Load(),
		Rewinds: f.rewinds.Load(), Severed: f.severed.Load(), Swept: f.swept.Load(),
		OpenFiles: int64(len(n.files.all())), FileBytesIn: n.files.bytesIn.Load(), FileBytesOut: n.files.bytesOut.Load(),
	}
	for version := range f.connections {
		s.ByVersion[version] = f.connections[version].Load()
		s.Connections += s.ByVersion[version]
	}
	return s
}
