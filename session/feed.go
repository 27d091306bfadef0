package session

// mode is where a feed gets its messages from.
type mode uint8

const (
	made      mode = iota // not in its topic yet
	waiting               // not behind the fence yet: gets nothing
	reading               // from the store, while copies pass it by
	following             // each message after its note, in the order of seq
	live                  // each copy as it comes
	gone                  // left; gets nothing any more
)

// feed is one connection's stream of one topic. A durable one goes from waiting to reading, from there, when it has
// read what there was, to following, and when nothing is undecided any more of what arrived before that, to live.
// One whose connection has no room goes back to reading.
type feed struct {
	conn  *Conn
	topic *topic
	sub   *subscription // nil: ephemeral

	// Guarded by topic.mu.
	after  uint64 // reading, following: had, or need not have, every message up to it
	sentTo uint64 // copies that arrived before this place were sent while it was live
	joinAt uint64 // following: what arrived up to this place must be decided first
	index  int32  // in topic.feeds
	mode   mode

	queued bool // in the readers' hands; guarded by readers.mu
	parked bool // waits for room; guarded by conn.mu
}

// own reports whether the feed's subscriber published m: nobody is owed, or replayed, their own.
func (f *feed) own(m *message) bool {
	return m.conn != 0 && m.conn == f.conn.number || f.sub != nil && m.origin == f.sub.subscriber.key
}

// shared reports whether m was published by another connection of the feed's user, which gets it live, once.
func (f *feed) shared(m *message) bool {
	replayed := m.flagged && m.place == 0
	return f.sub != nil && m.origin == f.sub.subscriber.key && !f.sub.subscriber.client() && m.conn != f.conn.number && !replayed
}

// open puts the feed behind the fence, in the channel's order.
func (f *feed) open() {
	t := f.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.mode != waiting {
		return
	}
	if f.sub == nil {
		f.mode = live
		return
	}
	f.mode = reading
	f.after = f.sub.skip(0)
	t.node.readers.add(f)
}

// lag turns a live or following feed to the store: sentTo is the first copy it did not get, after the last seq it is
// sure of. topic.mu is held.
func (f *feed) lag(after, sentTo uint64) {
	t := f.topic
	if f.mode == live {
		t.live--
		t.laggards = append(t.laggards, f)
		f.sentTo = sentTo
	}
	f.mode, f.after = reading, after
}

// follow turns a feed that has read all there was. topic.mu is held.
func (f *feed) follow() {
	t := f.topic
	f.mode, f.joinAt = following, t.arrivals
}

// tryLive turns a following feed when nothing stands in between. topic.mu is held.
func (f *feed) tryLive(now int64) {
	t := f.topic
	if f.mode != following || t.holding || t.known > t.contig || f.after > t.contig || t.node.down.Load() {
		return
	}
	if oldest := t.order.oldest(now); oldest != 0 && oldest <= f.joinAt {
		return
	}
	t.catchUp(f)
	t.live++
	f.mode = live
	from := f.sentTo
	f.sentTo = 0
	for _, m := range t.order.undecided(from) {
		if f.mode != live {
			return
		}
		switch {
		case f.own(m) || m.settledBy(f.sub):
		case m.doubtful():
			m.skipped = true
		default:
			f.pass(m, now)
		}
	}
}

// pass sends a live copy; where there is no room, the feed falls behind. topic.mu is held.
func (f *feed) pass(m *message, now int64) {
	switch late := m.place != 0 && m.place <= f.joinAt; {
	case f.own(m):
		if f.shared(m) && !late {
			f.conn.deliverOnce(m, now)
		}
	case !f.conn.deliver(f, m, late, now) && f.sub != nil:
		sentTo := m.place
		if sentTo == 0 { // read from the store
			sentTo = f.topic.unsent()
		}
		f.lag(f.topic.sure(), sentTo)
	}
}
