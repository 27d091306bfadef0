package session

import (
	"time"

	"github.com/fastport/fastport/protocol"
)

// leaving is added to Conn.unanswered once no more publishes are taken.
const leaving = 1 << 32

var _ Leaver = (*Conn)(nil)

// Move tells the client to open a new connection after so long. See Leaver.
func (c *Conn) Move(after time.Duration) bool {
	if !c.ready.Load() || c.version < protocol.Version2 {
		return false
	}
	f := protocol.ServerFrame{Type: protocol.TypeReconnect, AfterMs: after.Milliseconds(), Reason: "this node is going"}
	return c.send(LaneControl, NewPacket(false, 64, f.Append))
}

// Leave closes the connection with 1012 behind the last answer that it is owed. See Leaver.
func (c *Conn) Leave() {
	if c.unanswered.Load() < leaving && c.unanswered.Add(leaving) == leaving {
		c.farewell()
	}
}

// owe takes on the answer to a publish. False: the connection leaves, and the client will send it again elsewhere.
func (c *Conn) owe() bool {
	if c.unanswered.Add(1) < leaving {
		return true
	}
	c.answered()
	return false
}

// answered ends an owe.
func (c *Conn) answered() {
	if left := c.unanswered.Add(-1); left > 0 && left%leaving == 0 {
		c.farewell()
	}
}

// farewell takes no lock: whoever answers may hold some.
func (c *Conn) farewell() { c.socket.Close(protocol.CloseDraining, "this node is going") }
