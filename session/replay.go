package session

import (
	"context"
	"sync"
	"time"

	"github.com/fastport/fastport/storage"
)

// readers read the store for feeds that are behind and for topics with a gap: a few goroutines for all of them. The
// queue holds each feed and each topic at most once, and so is bounded by what is connected.
type readers struct {
	node *Node
	wake chan struct{}

	mu    sync.Mutex // guards the following
	feeds []*feed
	gaps  []*topic
}

// add queues a feed. topic.mu may be held.
func (r *readers) add(f *feed) {
	r.mu.Lock()
	if !f.queued {
		f.queued = true
		r.feeds = append(r.feeds, f)
	}
	r.mu.Unlock()
	r.signal()
}

// repair queues a topic.
func (r *readers) repair(t *topic) {
	r.mu.Lock()
	r.gaps = append(r.gaps, t)
	r.mu.Unlock()
	r.signal()
}

func (r *readers) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// next takes what is first: gaps before feeds, since live subscribers wait for them.
func (r *readers) next() (t *topic, f *feed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(r.gaps) > 0:
		t, r.gaps = r.gaps[0], r.gaps[1:]
	case len(r.feeds) > 0:
		f, r.feeds = r.feeds[0], r.feeds[1:]
		f.queued = false
	}
	if len(r.gaps)+len(r.feeds) > 0 {
		r.signal() // for another reader
	}
	return t, f
}

// run is one reader.
func (r *readers) run(ctx context.Context) {
	for {
		t, f := r.next()
		switch {
		case t != nil:
			t.repair(ctx)
		case f != nil:
			f.read(ctx)
		default:
			select {
			case <-r.wake:
			case <-ctx.Done():
				return
			}
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// read brings a feed nearer to live by one page, and queues it again if that was not all.
func (f *feed) read(ctx context.Context) {
	t, c := f.topic, f.conn
	now := t.node.clock()
	t.mu.Lock()
	if f.mode != reading {
		t.mu.Unlock()
		return
	}
	f.after = f.sub.skip(f.after)
	if t.synced && t.known <= t.contig && f.after >= t.contig {
		// The topic's other feeds have kept count: there is nothing to read.
		f.follow()
		f.tryLive(now)
		t.mu.Unlock()
		return
	}
	after, asked := f.after, t.contig
	t.mu.Unlock()

	room := c.room(f)
	if room == 0 {
		return // parked
	}
	f.hear(ctx, now)
	page, err := t.read(ctx, after, min(room, readRows))
	if err != nil {
		c.later(f)
		return
	}
	if page.Head < asked {
		t.node.rewind(t)
		return
	}
	if f.take(after, page) {
		t.node.readers.add(f)
	}
	c.resume()
}

// hear learns what a user acked through other nodes, unless that was done just now: what is read next may be settled.
func (f *feed) hear(ctx context.Context, now int64) {
	if f.sub.subscriber.scattered() && !f.sub.readSince(now-lookPatience) {
		f.sub.look()
		f.topic.node.cursors.flush(ctx) // without an answer, what comes again comes flagged
	}
}

// take sends a page to the feed. It reports whether there may be more at once.
func (f *feed) take(after uint64, page storage.Page) (more bool) {
	t := f.topic
	now := t.node.clock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.mode != reading || f.after != after {
		return f.mode == reading
	}
	if t.live == 0 && after <= t.contig && t.contig < page.Through {
		// Nobody here is ahead of this page: it is as good as a repair.
		t.absorb(after, page, now)
	}
	for i := range page.Messages {
		r := &page.Messages[i]
		if m := t.flights[r.MessageID]; m != nil {
			t.decide(m, r.Seq)
		} else if r.Seq <= t.contig {
			t.seen.add(r.MessageID, seenRow, now) // nobody durable here waits for a copy that is late
		}
	}
	out := f.conn.outTo(f) // by their seqs: now that all are known
	for i := range page.Messages {
		r := &page.Messages[i]
		f.sub.settleSpan(f.after+1, r.Seq-1, false)
		if r.Origin != f.sub.subscriber.key && !out[r.Seq] && !f.sub.has(r.Seq) {
			if !f.conn.deliver(f, readMessage(t, r, now), true, now) {
				f.after = r.Seq - 1
				t.advance(now)
				return false // parked
			}
		}
		f.after = r.Seq
	}
	f.sub.settleSpan(f.after+1, page.Through, false)
	f.after = max(f.after, page.Through)
	if page.Through < page.Head || f.after < t.contig {
		t.advance(now)
		return true // or the topic went on while the page was read
	}
	if t.live == 0 && t.contig >= page.Head {
		t.synced = true
	}
	t.learn(page.Head, now)
	f.follow()
	t.advance(now)
	return false
}

const parkFor = int64(50 * time.Millisecond)
