package verify

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/fastport/fastport/client"
)

// plan brings the load's clients up. Of every kind that PROTOCOL knows there are some, with that kind's promises.
type plan struct {
	l   *load
	ctx context.Context
	wg  *sync.WaitGroup
	group
}

func (p *plan) wait() error { return p.group.Wait() }

// topics are the topics of the i-th of a kind, each of them in a row, so that all have about as many subscribers.
func (p *plan) topics(i, each int) []int {
	list := make([]int, each)
	for k := range list {
		list[k] = (i*each + k) % p.l.o.Topics
	}
	return list
}

// start starts one of the SDK's.
func (p *plan) start(s subscriber) {
	p.go1(p.wg, func(started func(error)) { s.run(p.ctx, started) })
}

func (p *plan) of(session int, kind Kind, away bool, format string, args ...any) subscriber {
	box := p.l.check.NewMailbox(fmt.Sprintf(format, args...), session, kind, away)
	s := subscriber{l: p.l, tenant: p.l.tenants[session], box: box}
	s.options = func(o *client.Options) {
		switch kind {
		case Durable:
			o.ClientID = box.name
		case User:
			o.UserID = box.name
		}
	}
	return s
}

// subscribers are the durable ones; every tenth goes and comes.
func (p *plan) subscribers() {
	for i := range p.l.o.Subscribers {
		visits := i%10 == 9
		s := p.of(mainSession, Durable, visits, "durable-%d", i)
		s.topics = p.topics(i, p.l.o.Each)
		if !visits {
			p.start(s)
			continue
		}
		v := visitor{s, 12 * time.Second, 4 * time.Second}
		p.go1(p.wg, func(started func(error)) { v.run(p.ctx, started) })
	}
}

// strangers are a few of the other kinds: ephemeral ones, and users with two connections at two nodes.
func (p *plan) strangers() {
	const ephemeral, users = 4, 4
	for i := range ephemeral {
		s := p.of(mainSession, Ephemeral, false, "ephemeral-%d", i)
		s.topics = p.topics(i, p.l.o.Each)
		p.start(s)
	}
	for i := range users {
		s := p.of(mainSession, User, false, "user-%d", i)
		s.topics = p.topics(i+ephemeral, p.l.o.Each)
		p.start(s)
		s.seat = 1
		p.start(s)
	}
}

// plainShare is how much of all is published on plain sockets.
const plainShare = 0.1

// plain are clients that speak frames themselves, of both versions. They publish too, some of them where they subscribe.
func (p *plan) plain() {
	const (
		peers  = 8
		topics = 4
	)
	l, t := p.l, p.l.tenants[plainSession]
	for i := range peers {
		version := 1 + i%2
		o := login{session: t.name, password: t.password, version: version, tls: l.o.TLS}
		kind, name := Durable, fmt.Sprintf("socket-%d-v%d", i, version)
		switch {
		case i < 4:
			o.clientID = name
		case i < 6:
			kind, o.userID = User, name
		default:
			kind = Ephemeral
		}
		peer := l.newPeer(o, l.prefer(i))
		peer.box = l.check.NewMailbox(name, plainSession, kind, false)
		peer.reader = peer.box.NewReader(false, 0)
		peer.topics = p.topics(i, min(topics/2, l.o.Topics))
		peer.publisher = &Publisher{Session: plainSession, Number: i, Own: peer.box, Unsaid: version == 1}
		p.peer(peer)
		l.sources = append(l.sources, source{
			topics: some(min(topics, l.o.Topics)), share: plainShare / peers,
			publish: func(_ context.Context, topic int) bool { return peer.publish(topic) },
		})
	}
	name := "sleeper"
	l.sleeper = l.newPeer(login{session: t.name, password: t.password, clientID: name, version: 2, tls: l.o.TLS}, l.prefer(0))
	l.sleeper.box = l.check.NewMailbox(name, plainSession, Durable, true)
	l.sleeper.reader = l.sleeper.box.NewReader(false, 0)
	l.sleeper.topics = some(min(topics, l.o.Topics))
	p.peer(l.sleeper)
	p.twins(peers, some(min(topics, l.o.Topics)))
	for version := 1; version <= 2; version++ {
		p.once(peers+version, version, some(min(topics, l.o.Topics)))
	}
}

// once is a publisher of messages of qos 0, to the subscribers of the plain sockets.
func (p *plan) once(number, version int, topics []int) {
	l, t := p.l, p.l.tenants[plainSession]
	peer := l.newPeer(login{session: t.name, password: t.password, version: version, tls: l.o.TLS}, l.prefer(number))
	peer.once, peer.publisher = true, &Publisher{Session: plainSession, Number: number, Once: true}
	p.peer(peer)
	l.sources = append(l.sources, source{topics: topics, share: 0.01, publish: func(_ context.Context, topic int) bool {
		return peer.publish(topic)
	}})
}

// twins publish each message through two nodes at once.
func (p *plan) twins(number int, topics []int) {
	l, t := p.l, p.l.tenants[plainSession]
	as := Publisher{Session: plainSession, Number: number, Unsaid: true}
	var pair []*peer
	for i := range 2 {
		peer := l.newPeer(login{session: t.name, password: t.password, version: 2, tls: l.o.TLS}, l.prefer(i))
		peer.twin = true
		pair = append(pair, peer)
		p.peer(peer)
	}
	l.sources = append(l.sources, source{topics: topics, share: 0.005, publish: func(_ context.Context, topic int) bool {
		for _, peer := range pair {
			if peer.unanswered() >= maxSending {
				return false
			}
		}
		id, messageID, payload := l.check.Publish(as, topic, l.now())
		for _, peer := range pair {
			peer.mu.Lock()
			peer.add(id, messageID, payload)
			peer.mu.Unlock()
		}
		return true
	}})
}

func (p *plan) peer(peer *peer) {
	p.l.peers = append(p.l.peers, peer)
	p.go1(p.wg, func(started func(error)) {
		p.wg.Go(func() {
			select {
			case <-peer.ready:
				started(nil)
			case <-p.ctx.Done():
				started(context.Cause(p.ctx))
			}
		})
		peer.run(p.ctx)
		started(fmt.Errorf("%s could not log in", peer.name()))
	})
}

// short are subscribers that often come too late for messages that soon expire.
func (p *plan) short() {
	const visitors = 3
	for i := range visitors {
		s := p.of(shortSession, Durable, true, "late-%d", i)
		s.topics = []int{0}
		v := visitor{s, 3 * time.Second, 3 * shortExpiry}
		p.go1(p.wg, func(started func(error)) { v.run(p.ctx, started) })
	}
}

// publishersOf connects the publishers of the main session: each topic has several.
func (p *plan) publishersOf() error {
	const perTopic = 3
	l := p.l
	n := max(2*len(l.o.URLs), min(l.o.Rate/50, 20), perTopic)
	topics := make([][]int, n)
	for i := range perTopic * l.o.Topics {
		at := i % n
		topics[at] = append(topics[at], i/perTopic)
	}
	for i := range n {
		if len(topics[i]) == 0 {
			continue
		}
		c, err := l.connect(p.ctx, l.tenants[mainSession], func(*client.Options) {})
		if err != nil {
			return fmt.Errorf("verify: a publisher: %w", err)
		}
		l.publishers = append(l.publishers, p.publisher(c, Publisher{Session: mainSession, Number: i}))
	}
	c, err := l.connect(p.ctx, l.tenants[shortSession], func(*client.Options) {})
	if err != nil {
		return fmt.Errorf("verify: a publisher: %w", err)
	}
	brief := p.publisher(c, Publisher{Session: shortSession})
	l.sources = append(l.sources, source{topics: []int{0}, share: 0.01, publish: brief.publish})
	rest := 1.0
	for _, s := range l.sources {
		rest -= s.share
	}
	for _, pub := range l.publishers {
		l.sources = append(l.sources, source{topics: topics[pub.as.Number], share: rest / float64(len(l.publishers)), publish: pub.publish})
	}
	return nil
}

func (p *plan) publisher(c *client.Client, as Publisher) *publisher {
	p.wg.Go(func() {
		p.l.watch(p.ctx, fmt.Sprintf("publisher-%d-%d", as.Session, as.Number), c)
		hangUp(p.ctx, c)
	})
	return &publisher{p.l, c, as}
}

// some are the first n topics.
func some(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}
