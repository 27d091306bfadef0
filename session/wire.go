package session

import (
	"sync"
	"time"
)

// linkPatience is how long the other end of a link may say nothing: it says that it is there every second.
const linkPatience = 6 * time.Second

// wire is this node's end of a link, whichever side it plays.
type wire struct {
	f    *fleet
	link Link

	// Owned by the link's calls.
	msg linkMsg
	end wireEnd // nil: an incoming link whose first frame has not come

	mu    sync.Mutex // guards the following; a leaf
	heard time.Time
}

// wireEnd takes frames: a visitor at the home, a stay at the guest. An error ends the link.
type wireEnd interface {
	frame(m *linkMsg) error
	lost(nobody bool, heard time.Time)
}

var _ LinkEnd = (*wire)(nil)

// dial opens a link. The caller holds the end's lock, so that nothing arrives before it has the wire.
func (f *fleet) dial(address string, end wireEnd) *wire {
	w := &wire{f: f, end: end, heard: time.Now()}
	f.mu.Lock()
	f.wires[w] = struct{}{}
	f.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.link = f.links.Open(address, w)
	return w
}

// accept takes a link that another node opened: its first frame says what for.
func (f *fleet) accept(l Link) LinkEnd {
	w := &wire{f: f, link: l, heard: time.Now()}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wires[w] = struct{}{}
	return w
}

func (w *wire) send(kind linkKind, numbers ...uint64) bool {
	return w.link.Send(appendLink(nil, kind, numbers), nil, nil)
}

func (w *wire) Frame(b []byte) error {
	if err := w.msg.parse(b); err != nil {
		return err
	}
	w.mu.Lock()
	w.heard = time.Now()
	w.mu.Unlock()
	switch {
	case w.end != nil:
		return w.end.frame(&w.msg)
	case w.msg.kind == linkAlive:
		return nil
	}
	return w.f.files.opened(w, &w.msg)
}

func (w *wire) Lost(nobody bool) {
	w.f.mu.Lock()
	delete(w.f.wires, w)
	w.f.mu.Unlock()
	w.mu.Lock()
	heard := w.heard
	w.mu.Unlock()
	if w.end != nil {
		w.end.lost(nobody, heard)
	}
}

// check says that this end is there, and gives up on an other that says nothing.
func (w *wire) check(now time.Time) {
	w.mu.Lock()
	link, silent := w.link, now.Sub(w.heard) > linkPatience
	w.mu.Unlock()
	if silent {
		link.Close()
		return
	}
	link.Send([]byte{byte(linkAlive)}, nil, nil)
}
