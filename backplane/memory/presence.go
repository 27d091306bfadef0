package memory

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fastport/fastport/backplane"
)

// member is a user of a session.
type member struct{ session, user string }

// attendance is what one node says of itself and of its users.
type attendance struct {
	node  backplane.Node
	until time.Time // end of the lease; zero before the first heartbeat
	users map[member]int
}

// presence rests on one lease a node. A node that lost its lease keeps its users, and they count again when it is back.
type presence struct {
	now func() time.Time

	mu    sync.RWMutex // guards the following
	nodes map[*Backplane]*attendance
}

// of finds a node's attendance. The caller holds mu.
func (p *presence) of(n *Backplane) *attendance {
	a := p.nodes[n]
	if a == nil {
		a = &attendance{users: map[member]int{}}
		p.nodes[n] = a
	}
	return a
}

func (p *presence) set(n *Backplane, m member, connections int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.closed.Load() {
		return
	}
	if a := p.of(n); connections > 0 {
		a.users[m] = connections
	} else {
		delete(a.users, m)
	}
}

func (p *presence) renew(n *Backplane, self backplane.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.closed.Load() {
		return
	}
	a := p.of(n)
	self.Figures = slices.Clone(self.Figures)
	a.node, a.until = self, p.now().Add(backplane.Lease)
}

// online asks every living node but one.
func (p *presence) online(session string, users []string, but *Backplane) []bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	now := p.now()
	online := make([]bool, len(users))
	for n, a := range p.nodes {
		if n == but || !now.Before(a.until) {
			continue
		}
		for i, user := range users {
			online[i] = online[i] || a.users[member{session, user}] > 0
		}
	}
	return online
}

func (p *presence) living() []backplane.Node {
	p.mu.RLock()
	defer p.mu.RUnlock()
	now := p.now()
	var living []backplane.Node
	for _, a := range p.nodes {
		if now.Before(a.until) {
			living = append(living, a.node)
		}
	}
	slices.SortFunc(living, func(a, b backplane.Node) int { return strings.Compare(a.ID, b.ID) })
	return living
}

func (p *presence) remove(n *Backplane) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.nodes, n)
}
