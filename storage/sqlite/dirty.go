package sqlite

import "sync"

// dirtyTopics are the topics in which a message may have been settled since the sweep last looked: an idle store has
// none, so sweeping it costs nothing. A set, so at most as large as the table of topics.
type dirtyTopics struct {
	mu  sync.Mutex // guards the following
	ids map[int64]struct{}
}

// add marks topics; 0 is none. To be called after the commit: a mark that is taken before it would be lost.
func (d *dirtyTopics) add(ids ...int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		if id == 0 {
			continue
		}
		if d.ids == nil {
			d.ids = map[int64]struct{}{}
		}
		d.ids[id] = struct{}{}
	}
}

// take unmarks and gives up to n topics.
func (d *dirtyTopics) take(n int) []int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []int64
	for id := range d.ids {
		if len(ids) == n {
			return ids
		}
		ids = append(ids, id)
		delete(d.ids, id)
	}
	return ids
}

func (d *dirtyTopics) empty() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.ids) == 0
}
