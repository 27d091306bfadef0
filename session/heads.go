package session

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/storage"
)

const (
	headsEvery = time.Second // heads of active topics are announced
	headsPoll  = 15          // so many times as seldom all are read
	headsBatch = 1000        // topics in one read
)

// heads tell the other nodes how far topics have come, and find out for this one: so a note that was lost is missed
// within seconds, and everything that was lost within 15.
type heads struct {
	node *Node
	wake chan struct{} // asks for a poll now

	mu     sync.Mutex // guards the following
	active map[*topic]uint64
}

// appended takes in that this node's append has brought a topic to seq.
func (h *heads) appended(t *topic, seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.active == nil {
		h.active = map[*topic]uint64{}
	}
	h.active[t] = max(h.active[t], seq)
}

// soon asks for a poll.
func (h *heads) soon() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// run announces and polls until ctx is done.
func (h *heads) run(ctx context.Context) {
	tick := time.NewTicker(headsEvery)
	defer tick.Stop()
	for rounds := 1; ; rounds++ {
		poll := false
		select {
		case <-tick.C:
			h.send()
		case <-h.wake:
			poll = true
		case <-ctx.Done():
			return
		}
		if poll || rounds%headsPoll == 0 || h.node.down.Load() {
			h.poll(ctx)
		}
	}
}

// send announces the heads of topics that this node has appended to. While the backplane is down they wait: where this
// node alone is cut off, the others are not, and would look into the store only with their next poll.
func (h *heads) send() {
	if h.node.down.Load() {
		return
	}
	h.mu.Lock()
	active := h.active
	h.active = nil
	h.mu.Unlock()
	if len(active) == 0 {
		return
	}
	h.node.mu.RLock()
	epoch := h.node.epoch
	h.node.mu.RUnlock()
	list := make([]backplane.Heads, 0, len(active))
	for t, seq := range active {
		list = append(list, backplane.Heads{Channel: t.channel, Seq: seq, Epoch: epoch})
	}
	h.node.bus.SendHeads(list)
}

// poll reads the heads of all topics with durable subscribers here.
func (h *heads) poll(ctx context.Context) {
	list := h.node.durableTopics()
	for len(list) > 0 {
		part := list[:min(len(list), headsBatch)]
		list = list[len(part):]
		names := make([]storage.Topic, len(part))
		known := make([]uint64, len(part))
		for i, t := range part {
			names[i] = t.stored()
			t.mu.Lock()
			known[i] = t.contig
			t.mu.Unlock()
		}
		call, cancel := context.WithTimeout(ctx, readTimeout)
		seqs, epoch, err := h.node.store.Heads(call, names)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				h.node.log.Warn("reading heads failed, will be repeated", slog.Any("error", err))
			}
			return
		}
		h.node.observe(epoch)
		now := h.node.clock()
		for i, t := range part {
			if seqs[i] < known[i] {
				h.node.rewind(t) // a head never falls in one history
				continue
			}
			t.mu.Lock()
			t.learn(seqs[i], now)
			t.mu.Unlock()
		}
	}
}
