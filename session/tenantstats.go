package session

// TenantStats is what a node holds of one session, now.
type TenantStats struct {
	Connections int `json:"connections"`
	Subscribers int `json:"subscribers"` // clientIds and userIds that are connected here
	Topics      int `json:"topics"`      // in use here, or not long ago
}

// TenantStats tells what this node holds of a session, by its ID. It costs the same however much that is.
func (n *Node) TenantStats(session string) TenantStats {
	n.mu.RLock()
	t := n.tenants[session]
	n.mu.RUnlock()
	if t == nil {
		return TenantStats{}
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return TenantStats{Connections: len(t.conns), Subscribers: len(t.present), Topics: len(t.topics)}
}
