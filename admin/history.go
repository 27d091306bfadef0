package admin

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	sampleEvery = 3 * time.Second // a heartbeat
	sampleMost  = 200             // 10 min of them
)

// series are the figures that charts show, one value a sample.
type series struct {
	Connections []*float64 `json:"connections"`
	Publishes   []*float64 `json:"publishes"`
	Deliveries  []*float64 `json:"deliveries"`
	Pending     []*float64 `json:"pending"`
	AckP50      []*float64 `json:"ackP50"`
	AckP99      []*float64 `json:"ackP99"`
}

// sample is a node's figures at a moment. Its age is told, not its time: nodes' clocks differ.
type sample struct {
	Age    int64      `json:"age"` // ms
	Values [6]float64 `json:"v"`   // in the order of series
}

// past is a node's own figures of the last ten minutes.
type past struct {
	mu   sync.Mutex // guards the following
	list []pastSample
}

type pastSample struct {
	at     time.Time
	values [6]float64
}

// add takes in the figures of a heartbeat.
func (p *past) add(at time.Time, f Figures) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, pastSample{at, [6]float64{
		float64(f.Connections), f.Publishes, f.Deliveries, float64(f.Pending), f.AckP50, f.AckP99}})
	if len(p.list) > sampleMost {
		p.list = slices.Delete(p.list, 0, len(p.list)-sampleMost)
	}
}

// since lists what came within the last d.
func (p *past) since(now time.Time, d time.Duration) []sample {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := []sample{}
	for _, s := range p.list {
		if age := now.Sub(s.at); age <= d {
			list = append(list, sample{age.Milliseconds(), s.values})
		}
	}
	return list
}

// History is the figures of the last minutes of the cluster and of each node, on one grid of time. A value is null where
// there was no sample.
type History struct {
	End     int64             `json:"end"`  // ms, of the last sample
	Step    int64             `json:"step"` // ms
	Cluster series            `json:"cluster"`
	Nodes   map[string]series `json:"nodes"`
}

// merge puts nodes' samples on one grid that ends at now. The cluster's rates are sums, its quantiles those of the
// slowest node.
func merge(now time.Time, d time.Duration, nodes map[string][]sample) History {
	count := int(d / sampleEvery)
	h := History{End: now.UnixMilli(), Step: sampleEvery.Milliseconds(), Nodes: map[string]series{}}
	whole := make([][6]*float64, count)
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		own := make([][6]*float64, count)
		for _, s := range nodes[id] {
			i := count - 1 - int(s.Age/h.Step)
			if i < 0 || i >= count {
				continue
			}
			for k, v := range s.Values {
				own[i][k] = &v
			}
		}
		fill(own)
		for i := range own {
			for k, v := range own[i] {
				whole[i][k] = join(k, whole[i][k], v)
			}
		}
		h.Nodes[id] = columns(own)
	}
	h.Cluster = columns(whole)
	return h
}

// fill closes holes of one sample: heartbeats and the grid are not in step.
func fill(rows [][6]*float64) {
	for i := 1; i+1 < len(rows); i++ {
		if rows[i][0] == nil && rows[i-1][0] != nil && rows[i+1][0] != nil {
			rows[i] = rows[i-1]
		}
	}
	if n := len(rows); n > 1 && rows[n-1][0] == nil {
		rows[n-1] = rows[n-2]
	}
}

func join(k int, a, b *float64) *float64 {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	v := *a + *b
	if k >= 4 {
		v = max(*a, *b)
	}
	return &v
}

func columns(rows [][6]*float64) series {
	var s series
	for k, to := range []*[]*float64{&s.Connections, &s.Publishes, &s.Deliveries, &s.Pending, &s.AckP50, &s.AckP99} {
		*to = make([]*float64, len(rows))
		for i := range rows {
			(*to)[i] = rows[i][k]
		}
	}
	return s
}

// parseSamples reads another node's samples; what is none is nothing.
func parseSamples(text json.RawMessage) []sample {
	var list []sample
	if json.Unmarshal(text, &list) != nil {
		return nil
	}
	return list[:min(len(list), sampleMost)]
}
