package admin

import "github.com/fastport/fastport/session"

// Figures is what operators are shown of a node: of the [session.Stats] in each heartbeat, these.
type Figures struct {
	Connections int64  `json:"connections"`
	HeapUsed    uint64 `json:"heapUsed"`  // bytes in live and not yet swept objects
	HeapTotal   uint64 `json:"heapTotal"` // bytes that the heap has of the system
}

// ReadFigures measures this process.
func ReadFigures(connections int64) Figures {
	used, total := session.Heap()
	return Figures{Connections: connections, HeapUsed: used, HeapTotal: total}
}
