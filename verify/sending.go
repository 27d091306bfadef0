package verify

import (
	"time"

	"github.com/fastport/fastport/client/e2ee"
	"github.com/fastport/fastport/protocol"
)

// sending is a message that is published and not answered.
type sending struct {
	id        ID
	topic     string
	messageID string
	payload   string
	stamp     int64 // ms
	order     int
	tries     int
	acked     bool // by ack_received
	told      bool // by publish_response, which version 1 gets besides
	sent      time.Duration
	notBefore time.Duration
}

// publish sends a new message. False: too many are unanswered.
func (p *peer) publish(topic int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pending) >= maxSending {
		return false
	}
	id, messageID, payload := p.l.check.Publish(*p.publisher, topic, p.l.now())
	p.add(id, messageID, payload)
	return true
}

// add takes a message to be sent; the caller holds mu.
func (p *peer) add(id ID, messageID, payload string) {
	p.order++
	s := &sending{id: id, topic: topicName(id.Topic), messageID: messageID, payload: payload,
		stamp: time.Now().UnixMilli(), order: p.order}
	p.pending[messageID] = s
	if p.conn != nil {
		p.send(s)
	}
}

// send sends a message, again perhaps; the caller holds mu.
func (p *peer) send(s *sending) {
	f := protocol.ClientFrame{
		Type: protocol.TypePublish, Topic: []byte(s.topic), MessageID: []byte(s.messageID), QoS: 1,
		Data: []byte(s.payload), HasData: true, Timestamp: s.stamp, HasTimestamp: true, Retry: s.tries > 0 && p.login.version > 1,
	}
	if p.once {
		f.QoS, f.Retry = 0, false
	}
	if p.login.version == 1 {
		f.Hash = []byte(e2ee.Hash(f.Data))
	}
	s.tries++
	s.sent, s.notBefore = p.l.now(), 0
	p.conn.send(&f) // a failure ends the connection
}

func (p *peer) acked(f *protocol.ServerFrame) {
	now := p.l.now()
	p.mu.Lock()
	s := p.pending[string(f.MessageID)]
	if s == nil || s.acked {
		p.mu.Unlock()
		return
	}
	s.acked = true
	p.answered(s)
	tries := s.tries
	p.mu.Unlock()
	if p.twin {
		tries++ // its place may be that of the other's
	}
	p.l.check.Acked(s.id, tries, f.Seq, now)
}

// told takes a success in the words of version 1.
func (p *peer) told(f *protocol.ServerFrame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.pending[string(f.MessageID)]; s != nil {
		s.told = true
		p.answered(s)
	}
}

// answered forgets a message to which all answers have come; the caller holds mu.
func (p *peer) answered(s *sending) {
	if s.acked && (s.told || p.login.version > 1) {
		delete(p.pending, s.messageID)
	}
}

func (p *peer) refused(f *protocol.ServerFrame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.pending[string(f.MessageID)]
	if s == nil {
		return
	}
	if p.once {
		delete(p.pending, s.messageID)
		p.l.check.Forgone(s.id, &protocol.Error{Code: f.Code, Text: f.Text}, p.l.now())
		return
	}
	if f.Retryable || f.Code.Retryable() {
		s.notBefore = p.l.now() + 250*time.Millisecond + p.l.jitter(500*time.Millisecond)
		return
	}
	delete(p.pending, s.messageID)
	p.l.check.Failed(s.id, Refused, &protocol.Error{Code: f.Code, Text: f.Text}, p.l.now())
}

// forgo gives up what went out once and will not again; the caller holds mu.
func (p *peer) forgo() {
	for id, s := range p.pending {
		if p.once && s.tries > 0 {
			delete(p.pending, id)
			p.l.check.Forgone(s.id, nil, p.l.now())
		}
	}
}

// halfAnswered is how many of them the Checker takes for acked.
func (p *peer) halfAnswered() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.pending {
		if s.acked || p.twin {
			n++
		}
	}
	return n
}
