package verify

// liveOrder holds the readers of one topic to one and the same order of live first tries. It compares every two of them:
// what both have had must stand in the same order with both.
type liveOrder struct {
	recent []liveEntry // a ring of the last messages that somebody had live
	next   int
	index  map[liveKey]int // into recent
	pairs  map[[2]int]*chain
}

// maxRecent is how far back readers of a topic are compared, in messages.
const maxRecent = 2048

// liveKey names a message within its topic.
type liveKey struct{ publisher, n int }

type liveEntry struct {
	key liveKey
	had []place
}

// place is where a message stood among what a reader has had live of the topic.
type place struct{ reader, at int }

func newLiveOrder() *liveOrder {
	return &liveOrder{index: make(map[liveKey]int), pairs: make(map[[2]int]*chain)}
}

// add notes that a reader has had key live, as its at-th. readers are numbered from 1.
// It returns a reader that had things the other way round, or 0.
func (o *liveOrder) add(key liveKey, reader, at int) (other int) {
	i, ok := o.index[key]
	if !ok {
		if len(o.recent) < maxRecent {
			o.recent = append(o.recent, liveEntry{})
		} else {
			delete(o.index, o.recent[o.next].key)
		}
		i = o.next
		o.next = (o.next + 1) % maxRecent
		o.recent[i] = liveEntry{key: key, had: o.recent[i].had[:0]}
		o.index[key] = i
	}
	e := &o.recent[i]
	for _, p := range e.had {
		a, b := p, place{reader, at}
		if a.reader > b.reader {
			a, b = b, a
		}
		pair := [2]int{a.reader, b.reader}
		c := o.pairs[pair]
		if c == nil {
			c = new(chain)
			o.pairs[pair] = c
		}
		if !c.add(a.at, b.at) {
			other = p.reader
		}
	}
	e.had = append(e.had, place{reader, at})
	return other
}

// chain is what two readers have both had: places with the one and with the other, which must grow together.
type chain struct {
	most   [2]int
	recent [128][2]int // a ring
	n      int
}

// add adds one more. False: it stands before another with one of them and behind it with the other.
func (c *chain) add(a, b int) bool {
	ok := true
	if c.n > 0 && (a < c.most[0] || b < c.most[1]) {
		for _, p := range c.recent[:min(c.n, len(c.recent))] {
			if (p[0] < a) != (p[1] < b) {
				ok = false
				break
			}
		}
	}
	c.recent[c.n%len(c.recent)] = [2]int{a, b}
	c.n++
	c.most = [2]int{max(c.most[0], a), max(c.most[1], b)}
	return ok
}

// lastLive are the last messages of one stream that a reader has had, in the order it had them.
type lastLive struct {
	n    [16]int
	used int
}

// add notes n and returns those before it that have a higher N: they overtook it.
func (l *lastLive) add(n int) (overtook []int) {
	for _, earlier := range l.n[:min(l.used, len(l.n))] {
		if earlier > n {
			overtook = append(overtook, earlier)
		}
	}
	l.n[l.used%len(l.n)] = n
	l.used++
	return overtook
}
