package session

import "sync/atomic"

// figures count what the node does. All only grow, but connections.
type figures struct {
	connections, rejected, malformed                    atomic.Int64
	publishes, acked, refused, limited, stored, repeats atomic.Int64
	commits, commitTime                                 atomic.Int64
	deliveries, redeliveries, acks, givenUp, expired    atomic.Int64
	dropped, slow, late, duplicates, repairs, rewinds   atomic.Int64
	swept                                               atomic.Int64
}

// Stats is a snapshot of what the node does. Counters begin with the node.
type Stats struct {
	Connections int64  `json:"connections"` // now
	Sessions    int64  `json:"sessions"`    // with connections or topics here, now
	HeapUsed    uint64 `json:"heapUsed"`    // bytes, of the process
	HeapTotal   uint64 `json:"heapTotal"`
	Rejected    int64  `json:"rejected"`  // inits
	Malformed   int64  `json:"malformed"` // frames

	Publishes int64 `json:"publishes"` // accepted
	Acked     int64 `json:"acked"`
	Refused   int64 `json:"refused"`
	Limited   int64 `json:"limited"` // by the session's rates
	Stored    int64 `json:"stored"`
	Repeats   int64 `json:"repeats"`  // of publishes, found by the store
	Commits   int64 `json:"commits"`  // groups
	CommitNs  int64 `json:"commitNs"` // time in them

	Deliveries   int64 `json:"deliveries"` // first tries and replays
	Redeliveries int64 `json:"redeliveries"`
	Acks         int64 `json:"acks"` // of deliveries
	GivenUp      int64 `json:"givenUp"`
	Expired      int64 `json:"expired"` // before they were acked
	Dropped      int64 `json:"dropped"` // qos 0, window full
	Slow         int64 `json:"slow"`    // ephemeral subscribers closed for what waited
	Late         int64 `json:"late"`    // live copies older than 2 s
	Duplicates   int64 `json:"duplicates"`
	Repairs      int64 `json:"repairs"` // gaps read back from the store
	Rewinds      int64 `json:"rewinds"` // topics whose history changed
	Swept        int64 `json:"swept"`   // messages
}

// Stats tells what the node does.
func (n *Node) Stats() Stats {
	f := &n.figures
	n.mu.RLock()
	sessions := len(n.tenants)
	n.mu.RUnlock()
	heapUsed, heapTotal := Heap()
	return Stats{
		HeapUsed: heapUsed, HeapTotal: heapTotal,
		Connections: f.connections.Load(), Sessions: int64(sessions), Rejected: f.rejected.Load(), Malformed: f.malformed.Load(),
		Publishes: f.publishes.Load(), Acked: f.acked.Load(), Refused: f.refused.Load(), Limited: f.limited.Load(),
		Stored: f.stored.Load(), Repeats: f.repeats.Load(), Commits: f.commits.Load(), CommitNs: f.commitTime.Load(),
		Deliveries: f.deliveries.Load(), Redeliveries: f.redeliveries.Load(), Acks: f.acks.Load(), GivenUp: f.givenUp.Load(),
		Expired: f.expired.Load(), Dropped: f.dropped.Load(), Slow: f.slow.Load(), Late: f.late.Load(),
		Duplicates: f.duplicates.Load(), Repairs: f.repairs.Load(), Rewinds: f.rewinds.Load(), Swept: f.swept.Load(),
	}
}
