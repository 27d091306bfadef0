package prometheus

import (
	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/fastport/fastport/metrics"
)

// family is one metric: all samples of one name.
type family struct {
	desc *prom.Desc
	read func(s *snapshot, emit func(prom.Metric))
}

func describe(name, help string, labels ...string) *prom.Desc {
	return prom.NewDesc("fastport_"+name, help, labels, nil)
}

// number is what a single value is made from.
type number interface {
	~int | ~int64 | ~uint64 | ~float64
}

func counter[N number](name, help string, value func(*snapshot) N) family {
	return single(prom.CounterValue, name, help, value)
}

func gauge[N number](name, help string, value func(*snapshot) N) family {
	return single(prom.GaugeValue, name, help, value)
}

func single[N number](kind prom.ValueType, name, help string, value func(*snapshot) N) family {
	d := describe(name, help)
	return family{d, func(s *snapshot, emit func(prom.Metric)) {
		emit(prom.MustNewConstMetric(d, kind, float64(value(s))))
	}}
}

// stored is a gauge of the store's, without a sample where the store does not answer: 0 would be a lie.
func stored(name, help string, value func(*snapshot) int64) family {
	d := describe(name, help)
	return family{d, func(s *snapshot, emit func(prom.Metric)) {
		if s.totals != nil {
			emit(prom.MustNewConstMetric(d, prom.GaugeValue, float64(value(s))))
		}
	}}
}

// counters is a counter by a label from a closed set.
func counters[N number](name, help, label string, values func(*snapshot) map[string]N) family {
	return labelled(prom.CounterValue, name, help, label, values)
}

// gauges is a gauge by a label from a closed set.
func gauges[N number](name, help, label string, values func(*snapshot) map[string]N) family {
	return labelled(prom.GaugeValue, name, help, label, values)
}

func labelled[N number](kind prom.ValueType, name, help, label string, values func(*snapshot) map[string]N) family {
	d := describe(name, help, label)
	return family{d, func(s *snapshot, emit func(prom.Metric)) {
		for word, n := range values(s) {
			emit(prom.MustNewConstMetric(d, kind, float64(n), word))
		}
	}}
}

func histogram(name, help string, value func(*snapshot) metrics.Histogram) family {
	d := describe(name, help)
	return family{d, func(s *snapshot, emit func(prom.Metric)) {
		h := value(s)
		buckets := make(map[float64]uint64, len(h.Ends))
		below := uint64(0)
		for i, end := range h.Ends {
			below += h.Counts[i]
			buckets[end] = below
		}
		emit(prom.MustNewConstHistogram(d, h.Count(), h.Sum, buckets))
	}}
}
