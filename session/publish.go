package session

import (
	"context"
	"sync"
	"time"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/storage"
)

// How long a publish waits, for what.
const (
	commitPatience   = int64(5 * time.Second) // for its commit; then it is refused as unavailable
	routesPatience   = int64(3 * time.Second) // for the backplane, once it is committed; then it is acked all the same
	announcePatience = int64(time.Second)     // for its announce, where that is all there is; then it is refused
	cautionPatience  = int64(time.Second)     // for its commit, where it is held back only because it might be a resend
)

// Publication is what a back end publishes.
type Publication struct {
	Topic        string
	MessageID    string
	Data         []byte // kept; the caller does not change it any more
	Hash         string // lower-case hex SHA-256 of Data; "": none
	Timestamp    int64  // ms
	HasTimestamp bool
	Retry        bool // a resend
	AtMostOnce   bool // qos 0
}

// Published tells how a publish went.
type Published struct {
	MessageID   string
	Seq         uint64 // 0: nothing had to be stored
	DeliveredTo int    // subscribers connected to this node
}

// Publish publishes for a session and waits for the ack. The error is a *protocol.Error where the publish was refused;
// after any other, of ctx, the outcome is unknown and repeating with Retry is safe.
func (n *Node) Publish(ctx context.Context, sess storage.Session, m Publication) (Published, error) {
	if !protocol.ValidTopic([]byte(m.Topic)) || !protocol.ValidMessageID([]byte(m.MessageID)) {
		return Published{}, protocol.Errorf(protocol.BadRequest, "topic or messageId: not of the form it takes")
	}
	t := n.tenant(sess)
	if t == nil {
		return Published{}, errSessionGone
	}
	qos := uint8(1)
	if m.AtMostOnce {
		qos = 0
	}
	answer := make(chan *publish, 1)
	p := &publish{retry: m.Retry, done: func(p *publish) { answer <- p }}
	p.copy = backplane.Copy{MessageID: m.MessageID, Data: m.Data, Hash: m.Hash, Timestamp: m.Timestamp, QoS: qos}
	if err := t.accept(p, []byte(m.Topic), m.HasTimestamp); err != nil {
		return Published{}, err
	}
	start([]*publish{p})
	select {
	case <-answer:
	case <-ctx.Done():
		return Published{}, context.Cause(ctx)
	}
	if p.refused != nil {
		return Published{}, p.refused
	}
	return Published{MessageID: m.MessageID, Seq: p.note.Seq, DeliveredTo: p.width}, nil
}

var (
	errSessionGone = protocol.Errorf(protocol.NotFound, "the session does not exist any more")
	errStore       = protocol.Errorf(protocol.Unavailable, "the store does not answer; send it again")
	errRoutes      = protocol.Errorf(protocol.Unavailable, "it could not be passed on; send it again")
	errQueueFull   = protocol.Errorf(protocol.Unavailable, "too much waits for the store; send it again later")
)

// publish is one publish on its way: to the backplane, to the store, and back to its publisher.
type publish struct {
	topic   *topic
	conn    *Conn // nil: a back end's
	retry   bool
	first   bool // appended before it is announced
	wary    bool // only because it, or one before it, might be a resend that does not say so
	aged    bool // it was stamped a while ago, see aged
	expiry  time.Duration
	wake    time.Duration // see storage.Entry
	copy    backplane.Copy
	note    backplane.Note
	started int64
	width   int // subscribers connected here when it came
	done    func(*publish)

	again   bool // another of this messageId is under way
	refusal bool // there was no room for it in the committer's queue

	// Owned by the committer.
	attempts int

	announcing sync.Mutex // held while one that is appended first is announced, or its store's word told

	mu          sync.Mutex // guards the following
	decided     int64      // when the store's word came
	stored      bool
	released    bool // its announce has begun
	announced   bool
	unannounced error // why not
	noted       bool
	answered    bool
	refused     *protocol.Error
}

// publish takes a publish frame.
func (c *Conn) publish(f *protocol.ClientFrame) {
	if !c.owe() {
		return
	}
	p := &publish{conn: c, retry: f.Retry}
	p.copy = backplane.Copy{MessageID: string(f.MessageID), Data: append([]byte(nil), f.Data...), Hash: string(f.Hash),
		Timestamp: f.Timestamp, QoS: f.QoS}
	if c.subscriber != nil {
		p.copy.Origin = string(c.subscriber.key)
	}
	if err := c.tenant.accept(p, f.Topic, f.HasTimestamp); err != nil {
		c.refuse(f, err)
		c.answered()
		return
	}
	if c.batch == nil {
		c.batch = c.node.batches.Get().(*batch)
	}
	if c.batch.add(p) {
		c.startBatch()
	}
}

// Rest starts what has been published.
func (c *Conn) Rest() { c.startBatch() }

// accept checks a publish and readies it for start. An error is the answer: nothing has been done.
func (t *tenant) accept(p *publish, topic []byte, stamped bool) *protocol.Error {
	n := t.node
	if err := t.check(&p.copy, stamped); err != nil {
		n.figures.refused.Add(1)
		return err
	}
	if !t.allow(len(p.copy.Data)) {
		n.figures.limited.Add(1)
		return protocol.Errorf(protocol.RateLimited, "the session publishes too much; send it again later")
	}
	tp := t.topic(topic)
	if tp == nil {
		return errSessionGone
	}
	if now := n.storeNow().UnixMilli(); stamped {
		p.aged = aged(now - p.copy.Timestamp)
	} else {
		p.copy.Timestamp = now
	}
	p.topic, p.started, p.expiry = tp, n.clock(), t.expiry()
	if t.wakes.Load() {
		p.wake = wakeDelay
	}
	p.copy.Channel, p.copy.Node = tp.channel, n.cfg.NodeID
	p.note = backplane.Note{Channel: tp.channel, MessageID: p.copy.MessageID, Origin: p.copy.Origin}
	if p.width = int(tp.width.Load()); p.conn != nil {
		p.copy.Conn = p.conn.number
		if p.conn.version == protocol.Version1 && p.width > 0 && p.conn.feed(tp.name) != nil {
			p.width--
		}
	}
	n.figures.publishes.Add(1)
	if tp.watched() {
		tp.trace(Event{Step: StepPublished, MessageID: p.copy.MessageID, Who: p.copy.Origin, Conn: p.copy.Conn})
	}
	if p.copy.QoS == 0 {
		p.decided = p.started
	}
	return nil
}

// forget takes a publish that is decided and answered out of its topic's.
func (p *publish) forget() {
	t := p.topic
	t.publishing.Lock()
	defer t.publishing.Unlock()
	if t.pending[p.copy.MessageID] == p {
		delete(t.pending, p.copy.MessageID)
	}
	for i := 0; i < len(t.drains); {
		d := t.drains[i]
		if delete(d.left, p); len(d.left) > 0 {
			i++
			continue
		}
		close(d.done)
		t.drains = append(t.drains[:i], t.drains[i+1:]...)
	}
}

// over forgets the publish once nothing is to come of it.
func (p *publish) over() {
	p.mu.Lock()
	over := p.decided != 0 && p.answered
	p.mu.Unlock()
	if over && p.copy.QoS > 0 {
		p.forget()
	}
}

// announce sends the live copy, once.
func (p *publish) announce() {
	p.mu.Lock()
	released := p.released
	p.released = true
	p.mu.Unlock()
	if !released {
		p.send(p.topic.node.down.Load(), false)
	}
}

// send hands the live copy to the backplane; with more another one of the topic follows at once.
func (p *publish) send(down, more bool) {
	if down {
		p.announceDone(backplane.ErrUnavailable)
		return
	}
	p.topic.node.bus.Announce(&p.copy, more, p.announceDone)
}

func (p *publish) announceDone(err error) {
	p.mu.Lock()
	p.announced, p.unannounced = true, err
	p.mu.Unlock()
	p.complete(false)
}

func (p *publish) noteDone(error) {
	p.mu.Lock()
	p.noted = true
	p.mu.Unlock()
	p.complete(false)
}

// settle takes the store's word and tells everybody who has the copy, or has not.
func (p *publish) settle(r storage.Appended, epoch string) {
	t, n := p.topic, p.topic.node
	if p.first {
		p.announcing.Lock()
		defer p.announcing.Unlock()
	}
	if t.watched() {
		p.trace(r)
	}
	down := n.down.Load()
	p.note.Epoch = epoch
	switch r.Outcome {
	case storage.Stored, storage.Repeat:
		p.note.Seq = r.Seq
		if r.Outcome == storage.Stored {
			n.figures.stored.Add(1)
			n.heads.appended(t, r.Seq)
		} else {
			n.figures.repeats.Add(1)
		}
		// A first attempt may have been committed without a word, and then nobody has the copy yet.
		if p.first && (r.Outcome == storage.Stored || p.attempts > 1) {
			p.announce()
		}
		if down {
			t.serve(p)
			p.noteDone(backplane.ErrUnavailable)
		} else {
			n.bus.Settle(&p.note, p.noteDone)
		}
	case storage.NotStored:
		if p.first {
			p.announce()
		}
		if !down {
			n.bus.Settle(&p.note, func(error) {})
		}
	default:
		p.note.Failed = true
		if p.isReleased() && !down {
			n.bus.Settle(&p.note, func(error) {})
		}
		p.refuse(refusal(r.Err))
	}
	p.mu.Lock()
	p.decided = n.clock()
	p.stored = r.Outcome == storage.Stored || r.Outcome == storage.Repeat
	if !p.released && r.Outcome == storage.Repeat {
		p.announced = true // there was none
	}
	p.mu.Unlock()
	p.ordered()
	p.complete(false)
	p.over()
}

func (p *publish) isReleased() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.released
}

// hurry announces what only caution holds back, where the store does not answer: live delivery goes on without it.
// Should the store answer just now, its word waits until the copy is on its way.
func (p *publish) hurry(now int64) {
	if !p.wary || now-p.started < cautionPatience {
		return
	}
	p.announcing.Lock()
	defer p.announcing.Unlock()
	p.mu.Lock()
	due := !p.released && p.decided == 0
	p.mu.Unlock()
	if due {
		p.announce()
	}
}

// ordered lets what the connection publishes behind it be announced at once again.
func (p *publish) ordered() {
	if p.first && p.conn != nil {
		p.conn.appendedFirst(before{p.topic, p.wary})
	}
}

// serve delivers on this node alone what the backplane cannot carry.
func (t *topic) serve(p *publish) {
	if t.width.Load() == 0 {
		return
	}
	c := p.copy
	c.Retry = c.Retry || !c.Issued.IsZero() // it was announced, and lost: what came behind it may have been seen
	t.copies([]*backplane.Copy{&c})
	t.note(&p.note)
}

// refuse answers with a failure, if nothing was answered yet.
func (p *publish) refuse(err *protocol.Error) {
	p.mu.Lock()
	if p.answered {
		p.mu.Unlock()
		return
	}
	p.answered, p.refused = true, err
	p.mu.Unlock()
	p.topic.node.figures.refused.Add(1)
	if p.topic.watched() {
		p.topic.trace(Event{Step: StepRefused, MessageID: p.copy.MessageID, Who: p.copy.Origin, Conn: p.copy.Conn, Code: string(err.Code)})
	}
	if p.conn != nil {
		p.conn.answerRefused(p, err)
	} else {
		p.done(p)
	}
	p.over()
}

// complete acks the publish once everything has been answered, or, late, given up.
func (p *publish) complete(late bool) {
	p.mu.Lock()
	switch {
	case p.answered || p.decided == 0:
		p.mu.Unlock()
		return
	case !p.stored && p.announced && p.unannounced != nil, !p.stored && !p.announced && late:
		p.mu.Unlock()
		p.refuse(errRoutes)
		return
	case !late && !p.announced, !late && p.stored && !p.noted:
		p.mu.Unlock()
		return
	}
	p.answered = true
	p.mu.Unlock()
	n := p.topic.node
	n.figures.acked.Add(1)
	n.figures.ackTime.Observe(time.Duration(n.clock() - p.started))
	if p.topic.watched() {
		p.topic.trace(Event{Step: StepAnswered, MessageID: p.copy.MessageID, Who: p.copy.Origin, Conn: p.copy.Conn, Seq: p.note.Seq})
	}
	if p.conn != nil {
		p.conn.answerPublished(p)
	} else {
		p.done(p)
	}
	p.over()
}

// overdue gives up what the publish waits for when it has waited long enough. It reports whether it is answered.
func (p *publish) overdue(now int64) bool {
	p.mu.Lock()
	answered, decided, stored := p.answered, p.decided, p.stored
	p.mu.Unlock()
	switch {
	case answered:
		return true
	case decided == 0:
		if now-p.started < commitPatience {
			return false
		}
		p.refuse(errStore)
	case stored && now-decided >= routesPatience, !stored && now-decided >= announcePatience:
		p.complete(true)
	default:
		return false
	}
	return true
}

// abandoned reports whether the publisher has been told that it failed.
func (p *publish) abandoned() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused != nil
}
