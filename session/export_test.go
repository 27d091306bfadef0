package session

import "fmt"

// StoodStill has the node find that its process has stood still until now, as it does after a SIGSTOP.
func (n *Node) StoodStill() { n.pulse.still.Store(n.clock()) }

// State tells how a connection stands, for whoever looks for a fault.
func State(p Peer) string {
	c := p.(*Conn)
	c.mu.Lock()
	feeds := c.feeds
	text := fmt.Sprintf("window %d, behind %d, closed %v, detached %v", c.window.len(), len(c.behind), c.closed.Load(), c.detached)
	for i := c.window.head; i < len(c.window.list) && i < c.window.head+3; i++ {
		o := &c.window.list[i]
		text += fmt.Sprintf("; out %s seq %d fate %d tries %d", o.m.id, o.m.seq.Load(), o.m.fate.Load(), o.tries)
	}
	c.mu.Unlock()
	for _, f := range feeds {
		t := f.topic
		t.mu.Lock()
		text += fmt.Sprintf("\n    %s: mode %d after %d, contig %d known %d ahead %d holding %v held %d repairing %v rewinding %v gapDue %d route %d", t.name, f.mode, f.after, t.contig, t.known, len(t.ahead), t.holding, len(t.held), t.repairing, t.rewinding, t.gapDue, t.route)
		t.mu.Unlock()
	}
	return text
}
