package session

import "github.com/fastport/fastport/protocol"

// ackMost is how many acks are taken under one lock.
const ackMost = 64

// ack takes an ack: one messageId, on any topic where none is named, or a list of them.
func (c *Conn) ack(f *protocol.ClientFrame) {
	ids := f.MessageIDs
	if len(ids) == 0 {
		one := [1][]byte{f.MessageID}
		ids = one[:]
	}
	for len(ids) > 0 {
		n := min(len(ids), ackMost)
		c.ackAll(ids[:n], f.Topic)
		ids = ids[n:]
	}
}

func (c *Conn) ackAll(ids [][]byte, topic []byte) {
	var room [ackMost]out
	acked := room[:0]
	c.mu.Lock()
	for _, id := range ids {
		// What is not there was given up, settled by another connection, or never sent.
		if i := c.window.find(id, topic); i >= 0 {
			acked = append(acked, c.window.take(i))
		}
	}
	waits := len(c.backlog.list)+len(c.behind) > 0
	c.mu.Unlock()
	c.node.figures.acks.Add(int64(len(acked)))
	c.settleAll(acked)
	if waits { // what comes to wait from now on has seen the room there is
		c.resume()
	}
}

// settleAll settles what has been acked: what has its seq already, subscription by subscription in spans.
func (c *Conn) settleAll(acked []out) {
	for len(acked) > 0 {
		n := 1
		sub, m := acked[0].f.sub, acked[0].m
		seq := m.seq.Load()
		if seq != 0 {
			for n < len(acked) && acked[n].f.sub == sub && acked[n].m.seq.Load() == seq+uint64(n) {
				n++
			}
		}
		if m.topic.watched() {
			for i := range acked[:n] {
				c.traced(acked[i].m, StepAcked, 0)
			}
		}
		switch {
		case sub == nil:
		case seq != 0:
			sub.settleSpan(seq, seq+uint64(n)-1, false)
		default:
			m.settle(sub, false)
		}
		if sub != nil && !sub.subscriber.client() {
			c.tellSiblings(sub.subscriber, acked[:n])
		}
		acked = acked[n:]
	}
}

// tellSiblings frees the windows of the same user's other connections.
func (c *Conn) tellSiblings(s *subscriber, acked []out) {
	for _, sibling := range c.tenant.connsOf(s) {
		if sibling == c {
			continue
		}
		for i := range acked {
			sibling.settled(acked[i].m)
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
