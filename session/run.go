package session

// runMost is how many messages go to a subscriber together.
const runMost = 64

// run is messages that every live feed of a topic is to be sent, one behind the other, with their packets.
type run struct {
	messages [runMost]*message
	packets  [runMost]*Packet
	n        int
}

// add reports whether the run is full.
func (r *run) add(m *message) (full bool) {
	r.messages[r.n] = m
	r.n++
	return r.n == runMost
}

// passRun sends what has gathered. mu is held, and was since it began to gather.
func (t *topic) passRun(now int64) {
	r := t.run
	if r == nil || r.n == 0 {
		return
	}
	messages, packets := r.messages[:r.n], r.packets[:r.n]
	if len(messages) == 1 || t.watched() {
		for _, m := range messages {
			t.passAll(m, now)
		}
	} else {
		for i, m := range messages {
			packets[i] = m.packet(0, false)
		}
		for _, f := range t.feeds {
			f.passRun(messages, packets, now)
		}
	}
	clear(messages)
	clear(packets)
	r.n = 0
}

// passRun sends a run to one feed. topic.mu is held.
func (f *feed) passRun(run []*message, packets []*Packet, now int64) {
	for i := 0; i < len(run) && f.mode == live; {
		if i += f.conn.deliverRun(f, run[i:], packets[i:], now); i < len(run) {
			f.pass(run[i], now) // it takes more thought
			i++
		}
	}
}
