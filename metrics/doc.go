// Package metrics is what the parts of a node count with: histograms and counters that cost an atomic add or two, hold
// no lock and allocate nothing, and are read as snapshots by whoever asks. Its child prometheus shows them to operators.
package metrics
