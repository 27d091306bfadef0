package session_test

import (
	"context"
	"hash/fnv"
	"sync"
	"time"

	"github.com/fastport/fastport/backplane"
	bus "github.com/fastport/fastport/backplane/memory"
)

// plane is a node's end of the bus, with a link that can fail and a process that can stand still.
//
// What it loses one by one it chooses by name: of one message the copy or the note, never both.
type plane struct {
	*bus.Backplane
	id    string
	lossy bool
	tell  func(what, id string) // of what becomes of copies and notes here

	mu       sync.Mutex // guards the following
	receiver backplane.Receiver
	deaf     bool // nothing comes in
	cut      bool // nor goes out
	joined   map[backplane.Channel]bool
	heard    map[string]bool     // messages of which a copy or a note came in
	noted    map[string]bool     // messages of which a note came in
	asked    map[int]func(error) // joins and fences without an answer
	serial   int
	still    chan struct{} // closed when the process goes on; nil: it runs
	late     []func()      // what came in and went out while it stood still
	unset    []func()      // presence that could not be set: a heartbeat makes up for it
}

func newPlane(b *bus.Bus, id string, lossy bool, tell func(what, id string)) *plane {
	return &plane{Backplane: b.Node(id), id: id, lossy: lossy, tell: tell, joined: map[backplane.Channel]bool{}, heard: map[string]bool{}, noted: map[string]bool{}, asked: map[int]func(error){}}
}

// well reports whether the link works, in both directions, and the process runs.
func (p *plane) well() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.deaf && !p.cut && p.still == nil
}

// freeze has everything wait.
func (p *plane) freeze() { p.mu.Lock(); p.still = make(chan struct{}); p.mu.Unlock() }

// thaw lets go of what waited, in its order.
func (p *plane) thaw() {
	for {
		p.mu.Lock()
		late := p.late
		p.late = nil
		if len(late) == 0 {
			close(p.still)
			p.still = nil
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		for _, do := range late {
			do()
		}
	}
}

// running waits while the process stands still.
func (p *plane) running() {
	p.mu.Lock()
	still := p.still
	p.mu.Unlock()
	if still != nil {
		<-still
	}
}

// then does something now, or when the process goes on.
func (p *plane) then(do func()) {
	p.mu.Lock()
	if p.still != nil {
		p.late = append(p.late, do)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	do()
}

// sever ends all that goes in, and out where out says so; the engine is not told yet.
func (p *plane) sever(out bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf, p.cut = true, p.cut || out
}

// down tells the engine that the link is down: what it asked for fails, and no join outlives it.
func (p *plane) down() {
	p.mu.Lock()
	p.deaf, p.cut = true, true
	asked := p.asked
	p.asked, p.joined = map[int]func(error){}, map[backplane.Channel]bool{}
	p.mu.Unlock()
	for _, done := range asked {
		done(backplane.ErrUnavailable)
	}
	p.receiver.Link(false)
}

// up tells it that the link is back.
func (p *plane) up() {
	p.mu.Lock()
	p.deaf, p.cut = false, false
	p.mu.Unlock()
	p.receiver.Link(true)
}

func (p *plane) out() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		return backplane.ErrUnavailable
	}
	return nil
}

// hears reports whether something on a channel comes in.
func (p *plane) hears(ch backplane.Channel) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.deaf && p.joined[ch]
}

// loses picks one message in fifty for each kind of loss.
func (p *plane) loses(id string, which uint32) bool {
	if !p.lossy {
		return false
	}
	h := fnv.New32a()
	h.Write([]byte(p.id + id))
	return h.Sum32()%50 == which
}

func (p *plane) Listen(r backplane.Receiver) { p.receiver = r; p.Backplane.Listen(p) }

func (p *plane) Link(bool) {}

func (p *plane) Copies(cs []*backplane.Copy) {
	var left []*backplane.Copy
	for _, c := range cs {
		if !p.hears(c.Channel) || p.loses(c.MessageID, 0) {
			p.tell("copy lost at "+p.id, c.MessageID)
			continue
		}
		p.hear(c.MessageID)
		left = append(left, c)
	}
	if len(left) > 0 {
		p.then(func() { p.receiver.Copies(left) })
	}
}

func (p *plane) Note(n *backplane.Note) {
	if !p.hears(n.Channel) || p.loses(n.MessageID, 1) {
		p.tell("note lost at "+p.id, n.MessageID)
		return
	}
	p.hear(n.MessageID)
	p.mu.Lock()
	p.noted[n.MessageID] = true
	p.mu.Unlock()
	p.then(func() { p.receiver.Note(n) })
}

func (p *plane) hear(id string) { p.mu.Lock(); p.heard[id] = true; p.mu.Unlock() }

// heardOf reports whether anything told this node of a message.
func (p *plane) heardOf(id string) bool { p.mu.Lock(); defer p.mu.Unlock(); return p.heard[id] }

// notedOf reports whether this node was told what became of a message.
func (p *plane) notedOf(id string) bool { p.mu.Lock(); defer p.mu.Unlock(); return p.noted[id] }

func (p *plane) Heads(h *backplane.Heads) {
	if p.hears(h.Channel) {
		p.then(func() { p.receiver.Heads(h) })
	}
}

func (p *plane) Command(c *backplane.Command) {
	p.mu.Lock()
	lost := p.deaf
	p.mu.Unlock()
	if !lost {
		p.then(func() { p.receiver.Command(c) })
	}
}

func (p *plane) Announce(c *backplane.Copy, more bool, done func(error)) {
	p.then(func() {
		if err := p.out(); err != nil {
			done(err)
			if !more {
				p.Backplane.Fence(c.Channel, func(error) {}) // those that wait for this one wait no longer
			}
			return
		}
		p.tell("announced by "+p.id, c.MessageID)
		p.Backplane.Announce(c, more, done)
	})
}

func (p *plane) Settle(n *backplane.Note, done func(error)) {
	p.then(func() {
		if err := p.out(); err != nil {
			done(err)
			return
		}
		p.Backplane.Settle(n, done)
	})
}

func (p *plane) SendHeads(h []backplane.Heads) {
	p.then(func() {
		if p.out() == nil {
			p.Backplane.SendHeads(h)
		}
	})
}

// ask has ask answered once, by the bus or by the end of the link.
func (p *plane) ask(ask func(func(error)), done func(error)) {
	if err := p.out(); err != nil {
		done(err)
		return
	}
	p.mu.Lock()
	p.serial++
	n := p.serial
	p.asked[n] = done
	p.mu.Unlock()
	ask(func(err error) {
		p.then(func() {
			p.mu.Lock()
			_, waits := p.asked[n]
			if waits = waits && !p.deaf; waits {
				delete(p.asked, n)
			}
			p.mu.Unlock()
			if waits {
				done(err)
			}
		})
	})
}

func (p *plane) Join(ch backplane.Channel, done func(error)) {
	p.then(func() {
		p.ask(func(done func(error)) {
			p.Backplane.Join(ch, func(err error) {
				p.mu.Lock()
				p.joined[ch] = err == nil && !p.deaf
				p.mu.Unlock()
				done(err)
			})
		}, done)
	})
}

func (p *plane) Leave(ch backplane.Channel) { p.then(func() { p.Backplane.Leave(ch) }) }

func (p *plane) Fence(ch backplane.Channel, at func(error)) {
	p.then(func() { p.ask(func(done func(error)) { p.Backplane.Fence(ch, done) }, at) })
}

// waits is the way of a call that waits: not while the process stands still, nor over a link that is cut.
func (p *plane) waits(ctx context.Context) error {
	p.running()
	if ctx.Err() != nil {
		return backplane.ErrUnavailable
	}
	return p.out()
}

func (p *plane) Tell(ctx context.Context, c backplane.Command) error {
	if err := p.waits(ctx); err != nil {
		return err
	}
	return p.Backplane.Tell(ctx, c)
}

func (p *plane) SetPresence(ctx context.Context, session, user string, connections int) error {
	if err := p.waits(ctx); err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.unset = append(p.unset, func() { p.Backplane.SetPresence(ctx, session, user, connections) })
		return err
	}
	p.setPresence()
	return p.Backplane.SetPresence(ctx, session, user, connections)
}

func (p *plane) Elsewhere(ctx context.Context, session string, users []string) ([]bool, error) {
	if err := p.waits(ctx); err != nil {
		return nil, err
	}
	time.Sleep(200 * time.Microsecond) // a round trip: log-ins overlap
	return p.Backplane.Elsewhere(ctx, session, users)
}

func (p *plane) Heartbeat(ctx context.Context, n backplane.Node) error {
	if err := p.waits(ctx); err != nil {
		return err
	}
	p.setPresence()
	return p.Backplane.Heartbeat(ctx, n)
}

func (p *plane) setPresence() {
	p.mu.Lock()
	unset := p.unset
	p.unset = nil
	p.mu.Unlock()
	for _, set := range unset {
		set()
	}
}

func (p *plane) Nodes(ctx context.Context) ([]backplane.Node, error) {
	if err := p.waits(ctx); err != nil {
		return nil, err
	}
	return p.Backplane.Nodes(ctx)
}

func (p *plane) Claim(ctx context.Context, key, value string, ttl time.Duration) (string, error) {
	if err := p.waits(ctx); err != nil {
		return "", err
	}
	return p.Backplane.Claim(ctx, key, value, ttl)
}

func (p *plane) Holder(ctx context.Context, key string) (string, error) {
	if err := p.waits(ctx); err != nil {
		return "", err
	}
	return p.Backplane.Holder(ctx, key)
}

func (p *plane) Release(ctx context.Context, key, value string) error {
	if err := p.waits(ctx); err != nil {
		return err
	}
	return p.Backplane.Release(ctx, key, value)
}

func (p *plane) isStill() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.still != nil }

func (p *plane) isCut() bool { p.mu.Lock(); defer p.mu.Unlock(); return p.cut || p.deaf }
