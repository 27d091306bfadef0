package session

import (
	"context"
	"log/slog"
	"time"

	"github.com/fastport/fastport/storage"
)

const (
	readRows    = 256
	readBytes   = 1 << 20
	readTimeout = 5 * time.Second
	readAgain   = int64(time.Second) // pause after an error
)

// ring looks at the open gap when its time has come: it has closed, or it is read back from the store.
func (t *topic) ring(now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.repairing || t.gapDue == 0 || t.durable == 0:
	case t.gapDue > now:
		t.node.alarms.set(&t.alarm, t.gapDue)
	case t.contig >= t.gapTarget:
		// Notes closed it. What is open now opened since.
		if t.gapDue = 0; t.known > t.contig {
			t.learn(t.known, now)
		}
	default:
		t.repairNow()
	}
}

// repairNow asks for a repair. mu is held.
func (t *topic) repairNow() {
	if !t.repairing {
		t.repairing = true
		t.holdBack()
		t.node.figures.repairs.Add(1)
		t.node.readers.repair(t)
	}
}

// repair reads what is missing, once for all subscribers of this node, until nothing is.
func (t *topic) repair(ctx context.Context) {
	for {
		t.mu.Lock()
		after, asked, wanted := t.contig, t.known, t.durable > 0
		t.mu.Unlock()
		var page storage.Page
		var err error
		if wanted {
			page, err = t.read(ctx, after, readRows)
		}

		now := t.node.clock()
		t.mu.Lock()
		wanted = wanted && t.durable > 0 // they may have left while it was read
		if err != nil || !wanted {
			t.repairing = false
			if t.gapDue = 0; err != nil {
				t.gapDue, t.gapTarget = now+readAgain, max(t.known, t.contig+1)
				t.node.alarms.set(&t.alarm, t.gapDue)
			}
			t.mu.Unlock()
			return
		}
		if page.Head < asked {
			t.repairing, t.gapDue = false, 0
			t.mu.Unlock()
			t.node.rewind(t)
			return
		}
		if after > t.contig {
			t.mu.Unlock() // the topic was left and entered again meanwhile
			continue
		}
		t.absorb(after, page, now)
		done := t.contig >= page.Head || t.contig >= t.known
		if done {
			t.repairing, t.gapDue, t.synced = false, 0, true
		}
		t.advance(now)
		t.mu.Unlock()
		if done {
			return
		}
	}
}

// read is one read of the topic. An error has been logged, and counted against the store.
func (t *topic) read(ctx context.Context, after uint64, rows int) (storage.Page, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	page, err := t.node.store.Read(ctx, t.stored(), after, rows, readBytes)
	if err != nil {
		if ctx.Err() == nil {
			t.node.log.Warn("reading a topic failed, will be repeated", slog.Any("error", err))
		}
		return page, err
	}
	t.node.observe(page.Epoch)
	return page, nil
}

// absorb takes in a page that was read after a seq of at most contig: all of it up to Through is decided then. What
// has no row has none any more, and is settled for everybody. mu is held.
func (t *topic) absorb(after uint64, page storage.Page, now int64) {
	t.known = max(t.known, page.Head)
	for i := range page.Messages {
		r := &page.Messages[i]
		if r.Seq <= t.contig {
			continue
		}
		if m := t.flights[r.MessageID]; m != nil {
			t.decide(m, r.Seq)
		} else if t.ahead[r.Seq] == nil {
			t.seen.add(r.MessageID, seenRow, now)
			t.put(r.Seq, readMessage(t, r, now))
		}
	}
	for i := range page.Messages {
		seq := page.Messages[i].Seq
		if seq <= t.contig {
			continue
		}
		t.vanish(t.contig+1, seq-1)
		m := t.ahead[seq]
		delete(t.ahead, seq)
		t.contig = seq
		t.step(m, seq, now)
	}
	t.vanish(t.contig+1, page.Through)
}

// vanish passes over lo to hi, of which a read found no rows; decided ones among them have gone their way, and any of
// the undecided may be one whose note was lost. mu is held.
func (t *topic) vanish(lo, hi uint64) {
	if lo > hi {
		return
	}
	for seq := range t.ahead {
		if seq >= lo && seq <= hi {
			delete(t.ahead, seq)
		}
	}
	t.contig = hi
	t.doubted.Store(t.arrivals)
	for _, f := range t.feeds {
		if f.sub == nil || f.mode == waiting {
			continue
		}
		f.sub.settleSpan(lo, hi, false)
		if f.mode == following {
			f.after = max(f.after, hi)
		}
	}
}
