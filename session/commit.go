package session

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/fastport/fastport/storage"
)

const (
	groupEntries  = 1024
	groupBytes    = 8 << 20
	appendTimeout = 5 * time.Second
	appendPause   = 50 * time.Millisecond // after a failure, doubled up to appendPauses
	appendPauses  = time.Second
)

// committer appends the publishes of its topics in the order of their arrival. A group waits for nobody: what comes
// while one commits is the next. Its queue is bounded in entries and in bytes; what is beyond is refused at once.
type committer struct {
	node *Node
	wake chan struct{}

	mu      sync.Mutex // guards the following
	queue   []*publish
	waiting int // entries reserved and not yet decided
	bytes   int // their data
	watched []*publish
}

func newCommitter(n *Node) *committer { return &committer{node: n, wake: make(chan struct{}, 1)} }

// reserve takes room in the queue for what is to be stored, and marks as refused what finds none.
func (k *committer) reserve(run []*publish) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range run {
		if p.copy.QoS == 0 {
			continue
		}
		if k.waiting >= queueEntries || k.bytes+len(p.copy.Data) > k.node.cfg.QueueBytes && k.waiting > 0 {
			p.refusal = true
			continue
		}
		k.waiting++
		k.bytes += len(p.copy.Data)
	}
}

// add looks after publishes, and queues those that are to be stored and have room.
func (k *committer) add(run []*publish) {
	k.mu.Lock()
	before := len(k.queue)
	for _, p := range run {
		if p.refusal {
			continue
		}
		k.watched = append(k.watched, p)
		if p.copy.QoS > 0 {
			k.queue = append(k.queue, p)
		}
	}
	wake := before == 0 && len(k.queue) > 0
	k.mu.Unlock()
	if !wake {
		return // it takes the whole queue before it sleeps
	}
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// free ends reservations.
func (k *committer) free(group []*publish) {
	k.mu.Lock()
	k.waiting -= len(group)
	for _, p := range group {
		k.bytes -= len(p.copy.Data)
	}
	k.mu.Unlock()
}

// group takes what is first in the queue.
func (k *committer) group() []*publish {
	k.mu.Lock()
	defer k.mu.Unlock()
	n, size := 0, 0
	for n < len(k.queue) && n < groupEntries && (n == 0 || size < groupBytes) {
		size += len(k.queue[n].copy.Data)
		n++
	}
	group := k.queue[:n:n]
	if k.queue = k.queue[n:]; len(k.queue) == 0 {
		k.queue = nil
	}
	return group
}

// run commits until ctx is done, and then what is in the queue, if the store lets it.
func (k *committer) run(ctx context.Context) {
	for {
		group := k.group()
		if len(group) > 0 {
			k.commit(ctx, group)
			continue
		}
		select {
		case <-k.wake:
		case <-ctx.Done():
			return
		}
	}
}

// commit appends a group. While the store does not answer it tries again: an append that has been committed without a
// word is told as a repeat. Whoever has waited too long has been told, and leaves the group.
func (k *committer) commit(ctx context.Context, group []*publish) {
	defer k.free(group)
	var entries []storage.Entry
	rest := group
	for pause := appendPause; len(rest) > 0; pause = min(2*pause, appendPauses) {
		rest = k.drop(rest, ctx.Err() != nil && pause > appendPause)
		if len(rest) == 0 {
			return
		}
		entries = entries[:0]
		for _, p := range rest {
			p.attempts++
			entries = append(entries, storage.Entry{Topic: p.topic.stored(), MessageID: p.copy.MessageID,
				Origin: storage.Subscriber(p.copy.Origin), Data: p.copy.Data, Hash: p.copy.Hash,
				Timestamp: p.copy.Timestamp, Expiry: p.expiry, Wake: p.wake})
		}
		begun := k.node.clock()
		deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), appendTimeout)
		results, epoch, err := k.node.store.Append(deadline, entries)
		cancel()
		if err == nil {
			k.node.figures.commitTime.Observe(time.Duration(k.node.clock() - begun))
			k.node.figures.commitSize.Observe(len(entries))
			k.node.observe(epoch)
			rest = k.settle(rest, results, epoch)
			if len(rest) == 0 {
				return
			}
		} else {
			k.node.figures.commitFailures.Add(1)
			k.node.log.Warn("append failed, will be repeated", slog.Any("error", err), slog.Int("entries", len(entries)))
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// settle hands out a group's results; it returns those to be tried again.
func (k *committer) settle(group []*publish, results []storage.Appended, epoch string) (again []*publish) {
	for i, p := range group {
		r := results[i]
		if r.Outcome == storage.Failed && refusal(r.Err) == errStore {
			again = append(again, p)
			continue
		}
		p.settle(r, epoch)
	}
	return again
}

// drop takes those out of a group whose publishers were told that it failed, or all of them at the end. What was
// never tried is known to have failed; of the rest nobody knows, and a repeat finds out.
func (k *committer) drop(group []*publish, all bool) []*publish {
	rest := group[:0:0]
	for _, p := range group {
		switch {
		case !all && !p.abandoned():
			rest = append(rest, p)
		case p.attempts == 0:
			p.settle(storage.Appended{Outcome: storage.Failed, Err: storage.ErrUnavailable}, "")
		default:
			p.refuse(errStore)
			p.ordered()
			p.forget()
		}
	}
	return rest
}

// check looks for publishes that have waited too long.
func (k *committer) check(now int64) {
	k.mu.Lock()
	list := k.watched
	k.watched = nil
	k.mu.Unlock()
	n := 0
	for _, p := range list {
		p.hurry(now)
		if !p.overdue(now) {
			list[n] = p
			n++
		}
	}
	clear(list[n:])
	k.mu.Lock()
	if n > 0 || cap(list) <= 1024 {
		k.watched = append(list[:n], k.watched...)
	}
	k.mu.Unlock()
}
