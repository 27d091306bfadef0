package backplanetest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/backplane"
)

// patience bounds every wait of the suite.
const patience = 10 * time.Second

// recorder is a Receiver that keeps what it gets.
type recorder struct {
	onCopy func(*backplane.Copy) // before it is kept; may be nil

	mu       sync.Mutex // guards the following
	events   map[backplane.Channel][]string
	copies   []*backplane.Copy
	commands []backplane.Command
	links    []bool
	changed  chan struct{} // closed at the next change
}

func newRecorder() *recorder {
	return &recorder{events: map[backplane.Channel][]string{}, changed: make(chan struct{})}
}

func (r *recorder) keep(ch backplane.Channel, event string, also func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if event != "" {
		r.events[ch] = append(r.events[ch], event)
	}
	also()
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *recorder) Copies(cs []*backplane.Copy) {
	for _, c := range cs {
		if r.onCopy != nil {
			r.onCopy(c)
		}
		r.keep(c.Channel, "copy "+c.MessageID, func() { r.copies = append(r.copies, c) })
	}
}

func (r *recorder) Note(n *backplane.Note) {
	r.keep(n.Channel, fmt.Sprintf("note %s %d %t %s %s", n.MessageID, n.Seq, n.Failed, n.Origin, n.Epoch), func() {})
}

func (r *recorder) Heads(h *backplane.Heads) {
	r.keep(h.Channel, fmt.Sprintf("heads %d %s", h.Seq, h.Epoch), func() {})
}

func (r *recorder) Command(c *backplane.Command) {
	r.keep(backplane.Channel{}, "", func() { r.commands = append(r.commands, *c) })
}

func (r *recorder) Link(up bool) {
	r.keep(backplane.Channel{}, "", func() { r.links = append(r.links, up) })
}

// wait blocks until met, called under the recorder's lock, says so.
func (r *recorder) wait(t *testing.T, what string, met func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		ok, changed := met(), r.changed
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("waited %v in vain for %s; got %d events", patience, what, len(r.allEvents()))
		}
	}
}

// waitEvents blocks until n events of a channel are there, and returns them.
func (r *recorder) waitEvents(t *testing.T, ch backplane.Channel, n int) []string {
	t.Helper()
	r.wait(t, fmt.Sprintf("%d events", n), func() bool { return len(r.events[ch]) >= n })
	return r.of(ch)
}

func (r *recorder) of(ch backplane.Channel) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events[ch])
}

func (r *recorder) allEvents() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, events := range r.events {
		all = append(all, events...)
	}
	return all
}

// node adds a listening node that is closed with the test.
func node(t *testing.T, c Cluster, id string) (backplane.Backplane, *recorder) {
	t.Helper()
	n, r := c.Node(t, id), newRecorder()
	n.Listen(r)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("close %s: %v", id, err)
		}
	})
	return n, r
}

// await runs a call that answers through done, and returns the answer.
func await(t *testing.T, what string, call func(done func(error))) error {
	t.Helper()
	answer := make(chan error, 8) // room for answers that must not come
	call(func(err error) { answer <- err })
	select {
	case err := <-answer:
		return err
	case <-time.After(patience):
		t.Fatalf("%s was not answered within %v", what, patience)
		return nil
	}
}

func must(t *testing.T, what string, call func(done func(error))) {
	t.Helper()
	if err := await(t, what, call); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func join(t *testing.T, n backplane.Backplane, ch backplane.Channel) {
	t.Helper()
	must(t, "join", func(done func(error)) { n.Join(ch, done) })
}

func announce(t *testing.T, n backplane.Backplane, ch backplane.Channel, id string) {
	t.Helper()
	must(t, "announce", func(done func(error)) { n.Announce(&backplane.Copy{Channel: ch, MessageID: id}, false, done) })
}
