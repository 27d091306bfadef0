package session

import (
	"context"
	"sync"
	"time"

	"github.com/fastport/fastport/storage"
)

// maxSurrenders bounds what waits; what is beyond stays owed, and comes again when the user connects again.
const maxSurrenders = 1 << 14

// surrender is a message that a user's connection here was sent often enough. It is given up only if no other node
// holds a connection of the user, which could still bring an ack.
type surrender struct {
	m      *message
	sub    *subscription
	attach int64
}

// surrenders ask the backplane, for many at once.
type surrenders struct {
	node *Node
	wake chan struct{}

	mu   sync.Mutex // guards the following
	list []surrender
}

func (l *surrenders) add(s surrender) {
	l.mu.Lock()
	if len(l.list) < maxSurrenders {
		l.list = append(l.list, s)
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run asks until ctx is done.
func (l *surrenders) run(ctx context.Context) {
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		list := l.list
		l.list = nil
		l.mu.Unlock()
		byTenant := map[*tenant][]surrender{}
		for _, s := range list {
			t := s.sub.subscriber.tenant
			byTenant[t] = append(byTenant[t], s)
		}
		for t, list := range byTenant {
			l.ask(ctx, t, list)
		}
	}
}

// ask settles those of one session whose users are connected nowhere else. Without an answer they stay owed.
func (l *surrenders) ask(ctx context.Context, t *tenant, list []surrender) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	place := map[storage.Subscriber]int{}
	var users []string
	for _, s := range list {
		key := s.sub.subscriber.key
		if _, has := place[key]; !has {
			place[key] = len(users)
			users = append(users, string(key))
		}
	}
	elsewhere, err := l.node.bus.Elsewhere(ctx, t.id, users)
	if err != nil {
		return
	}
	for _, s := range list {
		user := s.sub.subscriber
		if !elsewhere[place[user.key]] && user.connected.Load() <= 1 && s.sub.attached() == s.attach {
			s.m.settle(s.sub, true)
		}
	}
}
