package session

import (
	"context"
	"math/rand/v2"
	"sync"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/protocol"
)

// Copies takes live copies.
func (n *Node) Copies(cs []*backplane.Copy) {
	if t := n.topicOf(cs[0].Channel.Session, cs[0].Channel.Topic); t != nil {
		t.copies(cs)
	}
}

// Note takes the store's word on a copy.
func (n *Node) Note(nt *backplane.Note) {
	if t := n.topicOf(nt.Channel.Session, nt.Channel.Topic); t != nil {
		t.note(nt)
	}
}

// Heads takes another node's word on how far a topic has come.
func (n *Node) Heads(h *backplane.Heads) {
	if !n.agrees(h.Epoch) {
		return
	}
	if t := n.topicOf(h.Channel.Session, h.Channel.Topic); t != nil {
		t.mu.Lock()
		t.learn(h.Seq, n.clock())
		t.mu.Unlock()
	}
}

// Command takes a word from another node, or from this node's catalog.
func (n *Node) Command(c *backplane.Command) {
	switch c.Kind {
	case backplane.SessionDropped:
		n.catalog.Forget(c.Name)
		n.CloseSession(c.Session, protocol.CloseSessionGone, "the session was dropped")
	case backplane.SessionSuspended:
		n.catalog.Forget(c.Name)
		n.CloseSession(c.Session, protocol.CloseSessionGone, "the session is suspended")
	case backplane.SessionChanged:
		n.catalog.Forget(c.Name)
	case backplane.TakeOver:
		cmd := *c
		n.begin(func(ctx context.Context) { n.release(ctx, &cmd) })
	case backplane.Drain:
		cmd := *c
		n.begin(func(ctx context.Context) { n.drained(ctx, &cmd) })
	case backplane.Released:
		n.releases.got(c.Token, c.Node)
	case backplane.Asked, backplane.Answered:
		if n.cfg.Operators != nil {
			n.cfg.Operators(c)
		}
	}
}

// releases are the answers to what this node asked of others.
type releases struct {
	mu      sync.Mutex // guards the following
	last    uint64
	waiting map[uint64]*release
}

type release struct {
	missing map[string]struct{} // nodes
	done    chan struct{}
}

// expect makes a token and a channel that is closed once these nodes have answered. A node of which this one did not
// know, back after its lease, answers too, and says nothing of the others.
func (r *releases) expect(nodes []string) (token uint64, done <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting == nil {
		// Every node hears every answer: numbers from 1 on would be other nodes' as well.
		r.waiting, r.last = map[uint64]*release{}, rand.Uint64()
	}
	r.last++
	w := &release{missing: make(map[string]struct{}, len(nodes)), done: make(chan struct{})}
	for _, node := range nodes {
		w.missing[node] = struct{}{}
	}
	r.waiting[r.last] = w
	return r.last, w.done
}

func (r *releases) got(token uint64, node string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.waiting[token]
	if w == nil {
		return
	}
	if _, expected := w.missing[node]; !expected {
		return
	}
	if delete(w.missing, node); len(w.missing) == 0 {
		close(w.done)
	}
}

func (r *releases) forget(token uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, token)
}
