package verify

import "time"

// record is what is known of one message.
type record struct {
	published time.Duration // when it was handed to the publisher, before it went out
	acked     time.Duration // 0: not yet
	seq       uint64        // 0: not known
	tries     int           // times that it went out; 0: not known
	need      int           // durable mailboxes that it is owed to, once it is acked
	got       int           // of the durable ones, how many have it
	failed    bool
}

// chunkSize is how many records are given up at once.
const chunkSize = 512

// stream is what one publisher sends on one topic of a session. Its records are kept until they are all over and old:
// after that a bit in each mailbox remains.
type stream struct {
	key    streamKey
	topic  *topic
	own    *Mailbox // the publisher's own, which gets none of it; or nil
	unsaid bool     // see Publisher
	once   bool     // see Publisher
	next   int      // N of the next message
	chunks []*[chunkSize]record
	over   int // chunks given up, from the front
}

type streamKey struct{ session, publisher, topic int }

// record finds a message's. Nil: it was given up, or never published (see known).
func (s *stream) record(n int) *record {
	if n/chunkSize >= len(s.chunks) || s.chunks[n/chunkSize] == nil {
		return nil
	}
	return &s.chunks[n/chunkSize][n%chunkSize]
}

func (s *stream) known(n int) bool { return n < s.next }

// publish makes the record of the next message, whose N must be n.
func (s *stream) publish(n int, at time.Duration) {
	if n%chunkSize == 0 {
		s.chunks = append(s.chunks, new([chunkSize]record))
	}
	s.next = n + 1
	s.record(n).published = at
}

// each calls f with every record that is kept.
func (s *stream) each(f func(n int, r *record)) {
	for n := s.over * chunkSize; n < s.next; n++ {
		if r := s.record(n); r != nil {
			f(n, r)
		}
	}
}

// over reports whether nothing more is to come of a record.
func (r *record) over() bool { return r.failed || r.acked > 0 && r.got >= r.need }

// retire gives up chunks from the front in which all is over and published before old; about each record f is asked
// a last time.
func (s *stream) retire(old time.Duration, f func(n int, r *record)) {
	for (s.over+1)*chunkSize <= s.next {
		chunk := s.chunks[s.over]
		for i := range chunk {
			if !chunk[i].over() || chunk[i].published >= old {
				return
			}
		}
		for i := range chunk {
			f(s.over*chunkSize+i, &chunk[i])
		}
		s.chunks[s.over] = nil
		s.over++
	}
}
