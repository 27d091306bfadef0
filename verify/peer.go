package verify

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/fastport/fastport/protocol"
)

// peer is a client on a wire that mends its connection by itself: it publishes, it reads, or both.
type peer struct {
	l     *load
	login login
	urls  []string // the first is tried first
	fixed bool     // it never goes elsewhere

	// As a subscriber.
	box    *Mailbox // nil: it subscribes to nothing
	reader *Reader
	topics []int

	// As a publisher.
	publisher *Publisher // nil: it publishes nothing
	twin      bool       // another one sends the same
	once      bool       // what it publishes is of qos 0

	mu      sync.Mutex // guards the following
	conn    *wire      // nil: not connected
	pending map[string]*sending
	order   int
	asleep  time.Duration // it reads nothing until then
	ready   chan struct{} // closed once it has logged in and subscribed for the first time
	started bool
}

const (
	maxSending    = 512              // unanswered messages of one peer
	resendAfter   = 15 * time.Second // without an answer
	reconnectWait = 200 * time.Millisecond
)

func (l *load) newPeer(o login, urls []string) *peer {
	return &peer{l: l, login: o, urls: urls, pending: make(map[string]*sending), ready: make(chan struct{})}
}

// run keeps the peer connected until ctx ends.
func (p *peer) run(ctx context.Context) {
	for turn := 0; ctx.Err() == nil; turn++ {
		url := p.urls[turn%len(p.urls)]
		if p.fixed {
			url = p.urls[0]
		}
		err := p.session(ctx, url)
		var refused *protocol.Error
		if ctx.Err() == nil && errors.As(err, &refused) && !refused.Code.Retryable() {
			p.l.check.Broken(Refused, p.l.now(), "%s: log-in refused: %v", p.name(), err)
			return
		}
		pause(ctx, reconnectWait+p.l.jitter(reconnectWait))
	}
}

func (p *peer) name() string {
	if p.box != nil {
		return p.box.name
	}
	return cmp.Or(p.login.clientID, p.login.userID, "a publisher")
}

// session is one connection, from its log-in to its end.
func (p *peer) session(ctx context.Context, url string) error {
	w, held, err := dialWire(ctx, url, p.login)
	if err != nil {
		return err
	}
	defer w.close()
	stop := context.AfterFunc(ctx, w.close)
	defer stop()
	waiting, err := p.subscribe(w, held)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(done)
	wg.Go(func() { p.keepUp(w, done) })
	defer p.lost(w)
	if waiting == 0 {
		p.attach(w)
	}
	var f protocol.ServerFrame
	for {
		p.dream(ctx)
		if err := w.next(&f); err != nil {
			return err
		}
		switch f.Type {
		case protocol.TypeSubscribeResponse:
			if !f.Success {
				return &protocol.Error{Code: f.Code, Text: f.Text}
			}
			p.subscribed(string(f.Topic))
			if waiting--; waiting == 0 {
				p.attach(w)
			}
		case protocol.TypeMessage:
			if err := p.message(w, &f); err != nil {
				return err
			}
		case protocol.TypeAckReceived:
			p.acked(&f)
		case protocol.TypePublishResponse:
			if f.Success {
				p.told(&f)
			} else {
				p.refused(&f)
			}
		case protocol.TypeReconnect:
			go func() { // make before break is the SDK's; here a new connection follows the old one
				pause(ctx, time.Duration(f.AfterMs)*time.Millisecond)
				w.close()
			}()
		}
	}
}

// subscribe asks for the topics that the server does not hold already, and returns how many answers are to come. To
// version 1 a held topic flows only after it was asked for again.
func (p *peer) subscribe(w *wire, held []string) (waiting int, err error) {
	for _, t := range p.topics {
		p.box.Subscribing(t)
		if p.login.version > 1 && slices.Contains(held, topicName(t)) {
			p.subscribed(topicName(t))
			continue
		}
		f := protocol.ClientFrame{Type: protocol.TypeSubscribe, Topic: []byte(topicName(t)), QoS: 1}
		if err := w.send(&f); err != nil {
			return 0, err
		}
		waiting++
	}
	return waiting, nil
}

func (p *peer) subscribed(topic string) {
	for _, t := range p.topics {
		if topicName(t) == topic {
			p.box.Subscribed(t, p.l.now())
		}
	}
}

// attach makes w the connection that publishes, first of all what was not answered on the one before.
func (p *peer) attach(w *wire) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn = w
	if !p.started {
		p.started = true
		close(p.ready)
	}
	list := make([]*sending, 0, len(p.pending))
	for _, s := range p.pending {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *sending) int { return cmp.Compare(a.order, b.order) })
	for _, s := range list {
		p.send(s)
	}
}

func (p *peer) lost(w *wire) {
	if p.box != nil {
		p.box.Gone(p.l.now())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == w {
		p.conn = nil
		p.forgo()
	}
}

// keepUp pings, and sends again what was put off or not answered.
func (p *peer) keepUp(w *wire, done <-chan struct{}) {
	t := time.NewTicker(250 * time.Millisecond)
	defer t.Stop()
	for n := 0; ; n++ {
		select {
		case <-done:
			return
		case <-t.C:
		}
		if p.sleeping() > 0 {
			continue
		}
		if n%int(wirePing/(250*time.Millisecond)) == 0 {
			w.send(&protocol.ClientFrame{Type: protocol.TypePing, QoS: 1})
		}
		now := p.l.now()
		p.mu.Lock()
		if p.conn == w && !p.once {
			for _, s := range p.pending {
				if s.notBefore > 0 && now > s.notBefore || s.notBefore == 0 && now-s.sent > resendAfter {
					p.send(s)
				}
			}
		}
		p.mu.Unlock()
	}
}

// message takes one that came, and acks it.
func (p *peer) message(w *wire, f *protocol.ServerFrame) error {
	if p.box == nil {
		return nil
	}
	id := string(f.MessageID)
	p.reader.Deliver(Delivery{
		Topic: string(f.Topic), MessageID: id, Payload: string(f.Data), Retry: f.Retry, Replay: f.Replay, Seq: f.Seq, Once: f.QoS == 0, At: p.l.now(),
	})
	if f.QoS == 0 {
		return nil // not to be acked
	}
	ack := protocol.ClientFrame{Type: protocol.TypeAck, MessageID: f.MessageID, Topic: f.Topic, QoS: 1}
	if err := w.send(&ack); err != nil {
		return err
	}
	if p.box.kind != Ephemeral {
		p.reader.Settled(id, p.l.now())
	}
	return nil
}

// sleep has the peer read nothing until then, nor say anything.
func (p *peer) sleep(until time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asleep = until
}

// sleeping is how long it still does.
func (p *peer) sleeping() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asleep - p.l.now()
}

func (p *peer) dream(ctx context.Context) {
	if d := p.sleeping(); d > 0 {
		pause(ctx, d)
	}
}

// unanswered is how many sends have no answer.
func (p *peer) unanswered() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pending)
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
