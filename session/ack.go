package session

import "github.com/fastport/fastport/protocol"

// ack takes an ack: one messageId, on any topic where none is named, or a list of them.
func (c *Conn) ack(f *protocol.ClientFrame) {
	if len(f.MessageIDs) == 0 {
		c.ackOne(f.MessageID, f.Topic)
	}
	for _, id := range f.MessageIDs {
		c.ackOne(id, f.Topic)
	}
	c.resume()
}

func (c *Conn) ackOne(id, topic []byte) {
	c.mu.Lock()
	i := c.window.find(id, topic)
	if i < 0 {
		c.mu.Unlock()
		return // given up, settled by another connection, or never sent
	}
	o := c.window.take(i)
	c.mu.Unlock()
	c.node.figures.acks.Add(1)
	if o.m.topic.watched() {
		c.traced(o.m, StepAcked, 0)
	}
	if o.f.sub == nil {
		return
	}
	o.m.settle(o.f.sub, false)
	if s := o.f.sub.subscriber; !s.client() {
		for _, sibling := range c.tenant.connsOf(s) {
			if sibling != c {
				sibling.settled(o.m)
			}
		}
	}
}

// settled frees the window from a message that another connection of the same user has acked.
func (c *Conn) settled(m *message) {
	c.mu.Lock()
	for i := c.window.head; i < len(c.window.list); i++ {
		if o := c.window.list[i].m; o.topic == m.topic && o.id == m.id {
			c.window.take(i)
			break
		}
	}
	c.mu.Unlock()
	c.resume()
}
