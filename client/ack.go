package client

import (
	"sync"

	"github.com/fastport/fastport/protocol"
)

const (
	// maxAcks bounds the acks that wait, while the connection is down above all. Of more the oldest are dropped: the
	// server sends those messages again, and they are acked again.
	maxAcks = 8192
	// ackBatch is how many ids one frame carries.
	ackBatch = 256
)

// ackQueue holds the acks to be sent. While one write is under way they gather, so that a busy client sends few frames
// and an idle one waits for nothing.
type ackQueue struct {
	mu    sync.Mutex // guards the following
	queue []pubKey
}

func newAckQueue() *ackQueue { return &ackQueue{} }

func (q *ackQueue) add(key pubKey) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.queue) >= maxAcks {
		q.queue = append(q.queue[:0], q.queue[maxAcks/4:]...)
	}
	q.queue = append(q.queue, key)
}

// pull writes all that wait, a frame for each topic and batch.
func (q *ackQueue) pull(k *conn) {
	q.mu.Lock()
	keys := q.queue
	q.queue = nil
	q.mu.Unlock()
	if len(keys) == 0 {
		return
	}
	topics := make(map[string][][]byte)
	for _, key := range keys {
		ids := append(topics[key.topic], []byte(key.id))
		if len(ids) == ackBatch {
			k.ack(key.topic, ids)
			ids = ids[:0]
		}
		topics[key.topic] = ids
	}
	for topic, ids := range topics {
		k.ack(topic, ids)
	}
}

func (k *conn) ack(topic string, ids [][]byte) {
	f := protocol.ClientFrame{Type: protocol.TypeAck, Topic: []byte(topic), QoS: 1}
	switch len(ids) {
	case 0:
		return
	case 1:
		f.MessageID = ids[0]
	default:
		f.MessageIDs = ids
	}
	k.text(&f)
}
