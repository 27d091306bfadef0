package session

// out is one message that is out to a connection and not acked yet.
type out struct {
	m     *message
	f     *feed
	sent  int64  // the node's clock
	tries uint16 // repeats so far
}

func newOut(f *feed, m *message, now int64) out {
	o := out{m: m, f: f, sent: now}
	if m.flagged && m.place != 0 {
		o.tries = 1 // it said so
	}
	return o
}

// window is what is out to a connection, in the order in which it was sent first. It is searched, not indexed: acks
// come in that order but for a few, and MaxInFlight entries are a few cache lines.
type window struct {
	list []out
	head int
}

func (w *window) len() int { return len(w.list) - w.head }

func (w *window) push(o out) { w.list = append(w.list, o) }

// find is the index of what was sent under id, on any topic where topic is empty; -1: nothing.
func (w *window) find(id, topic []byte) int {
	for i := w.head; i < len(w.list); i++ {
		if m := w.list[i].m; m.id == string(id) && (len(topic) == 0 || m.topic.name == string(topic)) {
			return i
		}
	}
	return -1
}

// take removes and returns the entry at i.
func (w *window) take(i int) out {
	o := w.list[i]
	copy(w.list[w.head+1:i+1], w.list[w.head:i]) // what stands before it is short
	w.list[w.head] = out{}
	if w.head++; w.head == len(w.list) {
		w.list, w.head = w.list[:0], 0
	} else if w.head >= 64 && w.head > len(w.list)/2 {
		n := copy(w.list, w.list[w.head:])
		clear(w.list[n:])
		w.list, w.head = w.list[:n], 0
	}
	return o
}

// keep drops every entry for which stay is false.
func (w *window) keep(stay func(*out) bool) {
	n := 0
	for i := w.head; i < len(w.list); i++ {
		if o := w.list[i]; stay(&o) {
			w.list[n] = o
			n++
		}
	}
	clear(w.list[n:])
	w.list, w.head = w.list[:n], 0
}

// rest gives memory back after a burst.
func (w *window) rest() {
	if w.len() == 0 && cap(w.list) > 8 {
		w.list, w.head = nil, 0
	}
}
