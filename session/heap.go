package session

import "runtime/metrics"

// Heap measures this process: bytes in objects that live or are not yet swept, and bytes that the heap has of the
// system. Unlike runtime.ReadMemStats it stops nothing.
func Heap() (used, total uint64) {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	used = samples[0].Value.Uint64()
	return used, used + samples[1].Value.Uint64() + samples[2].Value.Uint64()
}
