package admin

import (
	"encoding/json"
	"runtime/metrics"
)

// Figures is what a node says of itself, in the Figures of its heartbeat.
type Figures struct {
	Connections int64  `json:"connections"`
	HeapUsed    uint64 `json:"heapUsed"`  // bytes in live and not yet swept objects
	HeapTotal   uint64 `json:"heapTotal"` // bytes that the heap has of the system
}

// ReadFigures measures this process.
func ReadFigures(connections int64) Figures {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples) // unlike runtime.ReadMemStats, stops nothing
	used := samples[0].Value.Uint64()
	return Figures{
		Connections: connections,
		HeapUsed:    used,
		HeapTotal:   used + samples[1].Value.Uint64() + samples[2].Value.Uint64(),
	}
}

// JSON is the form in a heartbeat.
func (f Figures) JSON() []byte {
	b, _ := json.Marshal(f) // numbers always marshal
	return b
}
