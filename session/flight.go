package session

// Bounds of what a topic keeps of copies whose fate it does not know.
const (
	flightMost  = 1 << 16        // at once
	flightFor   = int64(120e9)   // then its publisher is taken for dead
	flightStale = int64(10e9)    // and so long it holds up who catches up
	heldMost    = 1 << 12        // copies that wait for a gap to close
	heldBytes   = 8 << 20        // and their data
	gapPatience = int64(100e6)   // a jump waits so long for its note
	copyStale   = 2 * 1000000000 // a live copy older than that is dropped
)

// flightOrder is the undecided copies of a topic in the order of their arrival.
type flightOrder struct {
	list []*message
	head int
}

func (o *flightOrder) push(m *message) { o.list = append(o.list, m) }

// trim drops what is decided from the front, and gives up what is too old.
func (o *flightOrder) trim(now int64, lost func(*message)) {
	for o.head < len(o.list) {
		m := o.list[o.head]
		if m.fate.Load() == undecided {
			if now-m.arrived < flightFor && len(o.list)-o.head <= flightMost {
				break
			}
			lost(m)
		}
		o.list[o.head] = nil
		o.head++
	}
	switch {
	case o.head == len(o.list):
		o.list, o.head = o.list[:0], 0
	case o.head > 1024 && o.head > len(o.list)/2:
		n := copy(o.list, o.list[o.head:])
		clear(o.list[n:])
		o.list, o.head = o.list[:n], 0
	}
}

// oldest is the place of the first undecided copy that is not stale, or 0.
func (o *flightOrder) oldest(now int64) uint64 {
	for _, m := range o.list[o.head:] {
		if m.fate.Load() == undecided && now-m.arrived < flightStale {
			return m.place
		}
	}
	return 0
}

// acked reports whether an ack waits for the word on one that may yet come.
func (o *flightOrder) acked(now int64) bool {
	for _, m := range o.list[o.head:] {
		if now-m.arrived < flightFor && m.ackedEarly() {
			return true
		}
	}
	return false
}

// undecided lists what is in flight, from a place on.
func (o *flightOrder) undecided(from uint64) []*message {
	var list []*message
	for _, m := range o.list[o.head:] {
		if m.fate.Load() == undecided && m.place >= from {
			list = append(list, m)
		}
	}
	return list
}
