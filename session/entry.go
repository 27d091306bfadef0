package session

import (
	"context"
	"strconv"
	"time"

	"github.com/fastport/fastport/storage"
)

const (
	entryLease = 20 * time.Second      // longer than a log-in can take
	entryPause = 10 * time.Millisecond // between two looks whether it is one's turn
	entrySure  = takeOverPatience / 2  // so soon nobody has taken it away
)

// entry is a client's log-in while it alone may go on, of all nodes'. Two that went on at once would each find nobody
// to take over, and both connections would be served until one of them settles something. Where the backplane does not
// answer it goes on all the same.
type entry struct {
	node       *Node
	key, value string
	begun      int64
	unheard    bool // the backplane did not answer
}

// enterAlone waits until no other log-in of the client is under way, or one stands still for so long that it is
// passed by: it finds out. nil: there is nobody to wait for.
func (n *Node) enterAlone(ctx context.Context, t *tenant, key storage.Subscriber, number uint64) *entry {
	if n.peers.Load() == 0 {
		return nil
	}
	e := &entry{node: n, key: "login:" + t.id + ":" + string(key), value: n.cfg.NodeID + "/" + strconv.FormatUint(number, 10)}
	ahead, since := "", n.clock()
	for {
		call, cancel := context.WithTimeout(ctx, takeOverPatience)
		held, err := n.bus.Claim(call, e.key, e.value, entryLease)
		cancel()
		switch now := n.clock(); {
		case err != nil:
			e.unheard = true
			return e
		case held == e.value:
			e.begun = now
			return e
		case held != ahead:
			ahead, since = held, now
		case now-since > int64(takeOverPatience):
			n.bus.Release(ctx, e.key, held)
			ahead, since = "", now
			continue
		}
		select {
		case <-time.After(entryPause):
		case <-ctx.Done():
			e.unheard = true
			return e
		}
	}
}

// heard reports whether the backplane can tell where else the client is.
func (e *entry) heard() bool { return e == nil || !e.unheard }

// passed reports whether a newer log-in of the client went on meanwhile: it has not found this one.
func (e *entry) passed(ctx context.Context) bool {
	if e == nil || e.unheard || e.node.clock()-e.begun < int64(entrySure) {
		return false
	}
	held, err := e.node.bus.Holder(ctx, e.key)
	return err == nil && held != e.value
}

// end lets the next one go on.
func (e *entry) end() {
	if e != nil && !e.unheard {
		e.node.begin(func(ctx context.Context) { e.node.bus.Release(ctx, e.key, e.value) })
	}
}
