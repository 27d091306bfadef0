package gateway

import "time"

// line is what the kernel knows of the bytes on their way to a peer.
type line struct {
	acked  uint64        // that the peer's kernel has taken, ever
	queued int           // that it has not taken
	shut   time.Duration // for how long they waited because the peer had no room for them, ever
}

// witness tells when a peer took bytes last. That its kernel takes some proves a living host; whether anybody reads
// them there is another matter: a program that hangs has room for much that comes in small pieces, so each write would
// prove it well. So while a pong is owed, there are two proofs alone:
//
//   - the ping, or what is before it, is still on its way and moves: the line is slow;
//   - there was no room at the peer, and yet bytes went on: somebody made room, so the reader is slow.
//
// Owned by tick; forgotten where nothing is up against a deadline.
type witness struct {
	last  line
	known bool
	took  time.Duration // when the peer's kernel took bytes last; 0: not since it is watched

	ping time.Duration // which one is watched
	goal uint64        // acked, once the ping has arrived
	read time.Duration // when there was a proof last; 0: never
}

// look takes the line as it is now. ping is the one whose pong is owed, 0 where it waits here or there is none.
func (w *witness) look(l line, ping, now time.Duration) {
	moved := w.known && l.acked > w.last.acked
	if moved {
		w.took = now
		if ping != 0 && ping == w.ping && (w.last.acked < w.goal || l.shut > w.last.shut) {
			w.read = now
		}
	}
	if ping != w.ping {
		// What was written behind the ping since is counted with it: a second's worth at most.
		w.ping, w.goal, w.read = ping, l.acked+uint64(l.queued), 0
	}
	w.last, w.known = l, true
}
