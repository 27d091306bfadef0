package session

import (
	"slices"
	"sync"
)

// network is the nodes' links in a test's hands: it delivers at once, loses nothing by itself, and can be cut.
type network struct {
	mu     sync.Mutex // guards the following
	ends   map[string]*planeEnd
	pipes  []*pipe
	kinds  map[linkKind]int // frames that arrived
	frozen map[string]bool  // nothing comes from there or gets there, and no connection ends
	apart  bool             // no link can be opened
}

func newNetwork() *network {
	return &network{ends: make(map[string]*planeEnd), kinds: make(map[linkKind]int), frozen: make(map[string]bool)}
}

// planeEnd is a node's Links.
type planeEnd struct {
	net     *network
	address string
	accept  func(Link) LinkEnd
}

var _ Links = (*planeEnd)(nil)

func (n *network) node(address string) *planeEnd {
	return &planeEnd{net: n, address: address}
}

func (e *planeEnd) Listen(accept func(Link) LinkEnd) {
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	e.accept = accept
	e.net.ends[e.address] = e
}

func (e *planeEnd) Open(address string, end LinkEnd) Link {
	p := &pipe{net: e.net, nodes: [2]string{e.address, address}}
	for i := range p.halves {
		p.halves[i] = &half{pipe: p, side: i, wake: make(chan struct{}, 1), stop: make(chan struct{})}
	}
	p.halves[0].end = end
	e.net.mu.Lock()
	target, apart := e.net.ends[address], e.net.apart
	e.net.pipes = append(e.net.pipes, p)
	e.net.mu.Unlock()
	if target == nil || apart {
		go end.Lost(!apart)
		p.over = true
		return p.halves[0]
	}
	p.halves[1].end = target.accept(p.halves[1])
	for _, h := range p.halves {
		go h.carry()
	}
	return p.halves[0]
}

// cut ends the links between two nodes, or all of one where the other is "", without what is on its way.
func (n *network) cut(a, b string) {
	n.mu.Lock()
	var list []*pipe
	for _, p := range n.pipes {
		if slices.Contains(p.nodes[:], a) && (b == "" || slices.Contains(p.nodes[:], b)) {
			list = append(list, p)
		}
	}
	n.mu.Unlock()
	for _, p := range list {
		p.end()
	}
}

// kill ends a node's links as its death would: nobody listens there any more.
func (n *network) kill(address string) {
	n.mu.Lock()
	delete(n.ends, address)
	n.mu.Unlock()
	n.cut(address, "")
}

func (n *network) freeze(address string, frozen bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frozen[address] = frozen
	for _, p := range n.pipes {
		for _, h := range p.halves {
			h.notify()
		}
	}
}

func (n *network) count(k linkKind) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.kinds[k]
}

// open counts the links that are up.
func (n *network) open() (up int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.pipes {
		p.mu.Lock()
		if !p.over {
			up++
		}
		p.mu.Unlock()
	}
	return up
}

// pipe is a link: two halves, one to each side.
type pipe struct {
	net    *network
	nodes  [2]string
	halves [2]*half

	mu   sync.Mutex // guards over and the halves' queues
	over bool
}

// half is one side's Link; its goroutine carries what it sends to the other side.
type half struct {
	pipe   *pipe
	side   int
	end    LinkEnd // of this side
	wake   chan struct{}
	stop   chan struct{}
	queue  []sending
	closed bool
}

type sending struct {
	head, body []byte
	done       func()
}

func (h *half) Send(head, body []byte, done func()) bool {
	h.pipe.mu.Lock()
	defer h.pipe.mu.Unlock()
	if h.pipe.over || h.closed {
		return false
	}
	h.queue = append(h.queue, sending{head, body, done})
	h.notify()
	return true
}

func (h *half) Close() {
	h.pipe.mu.Lock()
	defer h.pipe.mu.Unlock()
	h.closed = true
	h.notify()
}

func (h *half) notify() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

func (h *half) carry() {
	for {
		select {
		case <-h.wake:
		case <-h.stop:
			return
		}
		for {
			h.pipe.net.mu.Lock()
			frozen := h.pipe.net.frozen[h.pipe.nodes[0]] || h.pipe.net.frozen[h.pipe.nodes[1]]
			h.pipe.net.mu.Unlock()
			h.pipe.mu.Lock()
			if h.pipe.over || frozen && !h.closed || len(h.queue) == 0 && !h.closed {
				h.pipe.mu.Unlock()
				break
			}
			if len(h.queue) == 0 || frozen {
				h.pipe.mu.Unlock()
				go h.pipe.end()
				break
			}
			next := h.queue[0]
			h.queue = h.queue[1:]
			h.pipe.mu.Unlock()
			h.pipe.net.mu.Lock()
			h.pipe.net.kinds[linkKind(next.head[0])]++
			h.pipe.net.mu.Unlock()
			buf := slices.Concat(next.head, next.body)
			if next.done != nil {
				next.done()
			}
			if h.pipe.halves[1-h.side].end.Frame(buf) != nil {
				go h.pipe.end()
			}
			clear(buf) // valid during the call only
		}
	}
}

// end ends the pipe on both sides. A frozen side learns of it too: its own patience would have told it.
func (p *pipe) end() {
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		return
	}
	p.over = true
	p.mu.Unlock()
	for _, h := range p.halves {
		close(h.stop)
	}
	for _, h := range p.halves {
		h.end.Lost(false)
	}
}
