package session

// TenantStats is what a node holds of one session, now.
type TenantStats struct {
	Connections int `json:"connections"`
	Subscribers int `json:"subscribers"` // durable ones that are connected here
	Topics      int `json:"topics"`      // with subscribers here
}

// TenantStats tells what this node holds of a session, by its ID.
func (n *Node) TenantStats(session string) TenantStats {
	n.mu.RLock()
	t := n.tenants[session]
	n.mu.RUnlock()
	if t == nil {
		return TenantStats{}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	s := TenantStats{Connections: len(t.conns)}
	for _, sub := range t.subscribers {
		if len(sub.conns) > 0 {
			s.Subscribers++
		}
	}
	for _, tp := range t.topics {
		if tp.width.Load() > 0 {
			s.Topics++
		}
	}
	return s
}
