package session

// runMost is how many messages go to a subscriber together.
const runMost = 64

// joinFrom is from how many feeds on a run's frames are worth joining.
const joinFrom = 4

// run is messages that every live feed of a topic is to be sent, one behind the other, with their packets.
type run struct {
	messages [runMost]*message
	packets  [runMost]*Packet
	n        int

	frames Run   // packets
	owed   int   // of qos 1
	due    int64 // when the first of those expires
	alike  bool  // all are of one publisher
	led    bool  // all have left for somebody
}

// add reports whether the run is full.
func (r *run) add(m *message) (full bool) {
	r.messages[r.n] = m
	r.n++
	return r.n == runMost
}

// ready makes the packets, and notes what is true of all.
func (r *run) ready(wide bool) {
	first := r.messages[0]
	r.owed, r.due, r.alike, r.led = 0, 0, true, false
	for i, m := range r.messages[:r.n] {
		r.packets[i] = m.packet(0, false)
		if m.conn != first.conn || m.origin != first.origin {
			r.alike = false
		}
		if m.qos > 0 {
			if r.owed++; r.due == 0 || m.expires < r.due {
				r.due = m.expires
			}
		}
	}
	r.frames = Run{Packets: r.packets[:r.n], Wide: wide}
}

// reset lets go of all.
func (r *run) reset() {
	clear(r.messages[:r.n])
	clear(r.packets[:r.n])
	r.frames = Run{}
	r.n = 0
}

// plain is how many of the messages from one on a feed needs nothing but to be sent, where so many may be out.
func (r *run) plain(f *feed, from, room int, now int64) (n int) {
	if first := r.messages[from]; r.alike && r.owed < room && !f.own(first) && first.place > f.joinAt && (r.owed == 0 || r.due > now) {
		return r.n - from // places grow
	}
	for _, m := range r.messages[from:r.n] {
		if room <= 0 || f.own(m) || m.place <= f.joinAt || m.qos > 0 && m.expires <= now {
			break
		}
		if n++; m.qos > 0 {
			room--
		}
	}
	return n
}

// left notes that messages left for a connection.
func (r *run) left(from, to int, now int64) {
	if r.led {
		return
	}
	for _, m := range r.messages[from:to] {
		if m.qos == 0 {
			m.leaves(m.arrived)
		} else {
			m.leaves(now)
		}
	}
	r.led = from == 0 && to == r.n
}

// passRun sends what has gathered. mu is held, and was since it began to gather.
func (t *topic) passRun(now int64) {
	r := t.run
	if r == nil || r.n == 0 {
		return
	}
	if r.n == 1 || t.watched() {
		for _, m := range r.messages[:r.n] {
			t.passAll(m, now)
		}
	} else {
		r.ready(len(t.feeds) >= joinFrom)
		for _, f := range t.feeds {
			f.passRun(r, now)
		}
	}
	r.reset()
}

// passRun sends a run to one feed. topic.mu is held.
func (f *feed) passRun(r *run, now int64) {
	for i := 0; i < r.n && f.mode == live; {
		if i += f.conn.deliverRun(f, r, i, now); i < r.n {
			f.pass(r.messages[i], now) // it takes more thought
			i++
		}
	}
}
