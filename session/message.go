package session

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// message is one message on its way through this node, shared by all windows that hold it: what one note tells, all
// of them know.
type message struct {
	topic     *topic
	id        string
	data      []byte
	hash      string
	timestamp int64
	qos       uint8
	flagged   bool   // goes out as a repeat: its copy said so, or it was read back from the store
	conn      uint64 // the publishing connection, 0 where it is none of this node's
	origin    storage.Subscriber

	skipped bool   // some feeds went live without it; guarded by topic.mu
	place   uint64 // in the topic's order of arrival, from 1; 0: read from the store
	arrived int64  // the node's clock
	issued  int64  // the node's clock, for a live copy: when it was announced, perhaps elsewhere
	expires int64  // the node's clock

	timed atomic.Bool   // its way to the first connection here; or it cannot be
	seq   atomic.Uint64 // 0 until the store's word is known; set under mu
	fate  atomic.Uint32 // a fate; set under mu

	mu      sync.Mutex // guards the following
	early   []early
	packets [3]*Packet // by form; the last is of the newest retry
	retry   int        // which one that is
}

// fate is what became of a message.
type fate = uint32

const (
	undecided fate = iota
	stored         // seq is its number
	unstored       // no durable subscriber was owed it
	failed         // refused, or lost with its publisher
)

// early is an ack, or a give-up, that came before the message's seq was known.
type early struct {
	sub    *subscription
	gaveUp bool
	attach int64 // under which it was given up
}

// newMessage makes a message of a live copy.
func newMessage(t *topic, c *backplane.Copy, now int64) *message {
	m := &message{topic: t, id: c.MessageID, data: c.Data, hash: c.Hash, timestamp: c.Timestamp, qos: c.QoS,
		flagged: c.Retry, origin: storage.Subscriber(c.Origin), arrived: now, expires: now + int64(t.tenant.expiry())}
	if c.Node == t.node.cfg.NodeID {
		m.conn = c.Conn
	}
	return m
}

// readMessage makes a message of a stored one.
func readMessage(t *topic, r *storage.Message, now int64) *message {
	m := &message{topic: t, id: r.MessageID, data: r.Data, hash: r.Hash, timestamp: r.Timestamp, qos: 1,
		flagged: true, origin: r.Origin, arrived: now - int64(t.node.storeNow().Sub(r.StoredAt)), expires: now + int64(r.ExpiresAt.Sub(t.node.storeNow()))}
	m.seq.Store(r.Seq)
	m.fate.Store(stored)
	m.timed.Store(true)
	return m
}

// leaves notes that m is queued for a connection: the first one's delay is everybody's measure.
func (m *message) leaves(now int64) {
	if !m.timed.Load() && m.timed.CompareAndSwap(false, true) {
		m.topic.node.figures.deliveryTime.Observe(time.Duration(now - m.issued))
	}
}

// decide sets the message's fate, once, and settles what was acked early.
func (m *message) decide(what fate, seq uint64) {
	m.mu.Lock()
	if m.fate.Load() != undecided {
		m.mu.Unlock()
		return
	}
	m.seq.Store(seq)
	m.fate.Store(what)
	waiting := m.early
	m.early = nil
	m.mu.Unlock()
	if what != stored {
		return
	}
	for _, e := range waiting {
		if !e.gaveUp || e.sub.attached() == e.attach {
			e.sub.settle(seq, e.gaveUp)
		}
	}
}

// settle records that sub needs m no more. An ack is a fact, and often beats the note: it is kept until that comes.
func (m *message) settle(sub *subscription, gaveUp bool) {
	if sub == nil {
		return
	}
	m.mu.Lock()
	seq := m.seq.Load()
	if m.fate.Load() == undecided {
		m.early = append(m.early, early{sub, gaveUp, sub.attached()})
	}
	m.mu.Unlock()
	if seq != 0 {
		sub.settle(seq, gaveUp)
	}
}

// ackedEarly reports whether an ack waits for the message's seq.
func (m *message) ackedEarly() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.early) > 0
}

// settledBy reports whether sub needs m no more: another connection of the user may have acked it already.
func (m *message) settledBy(sub *subscription) bool {
	m.mu.Lock()
	seq := m.seq.Load()
	for _, e := range m.early {
		if e.sub == sub {
			m.mu.Unlock()
			return true
		}
	}
	m.mu.Unlock()
	return seq != 0 && sub.has(seq)
}

// doubtful reports whether m, undecided, may be settled for all: numbers have been passed since it came, whose messages
// are gone. It is neither sent again nor read back then, unless the store's word comes after all.
func (m *message) doubtful() bool {
	return m.fate.Load() == undecided && m.place != 0 && m.place <= m.topic.doubted.Load()
}

// packet is m's frame: encoded once a form, shared by all receivers. retry 0 is a first try.
func (m *message) packet(retry int, replay bool) *Packet {
	form := 0
	switch {
	case retry > 0:
		form = 2
	case replay || m.flagged:
		form = 1
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if p := m.packets[form]; p != nil && (form < 2 || m.retry == retry) {
		return p
	}
	frame := protocol.Message{Topic: m.topic.name, MessageID: m.id, Data: m.data, Hash: m.hash, Timestamp: m.timestamp,
		QoS: m.qos, Retry: retry, Seq: m.seq.Load()}
	if form == 1 {
		// A repeat of what was never stored is no replay: it says that it is a retry.
		if m.place != 0 && m.flagged {
			frame.Retry = 1
		} else {
			frame.Replay = true
		}
	}
	p := NewPacket(false, protocol.MessageSize(&frame), func(dst []byte) []byte { return protocol.AppendMessage(dst, &frame) })
	m.packets[form], m.retry = p, retry
	return p
}
