package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/fastport/fastport/backplane"
)

var errDown = fmt.Errorf("redis: the link is down: %w", backplane.ErrUnavailable)

// carrier finds the line of a topic's channel, nil while the link is down.
func (b *Backplane) carrier(ch backplane.Channel) (*line, string) {
	k := b.link.Load()
	if k == nil {
		return nil, ""
	}
	var room [256]byte
	name := string(b.names.appendTopic(room[:0], ch))
	return k.line(name), name
}

// Announce queues c for the Redis that carries its channel and sets c.Issued: a copy that then waits, in a frozen
// process say, is that much older when it arrives. done is called when Redis has answered. What is queued goes out
// together anyway, so more says nothing new.
func (b *Backplane) Announce(c *backplane.Copy, more bool, done func(error)) {
	l, name := b.carrier(c.Channel)
	if l == nil {
		done(errDown)
		return
	}
	c.Issued = time.Now()
	issued := l.clock.stamp()
	l.pub.send(name, func(buf []byte) []byte { return appendCopy(buf, c, issued) },
		c.Data, waiter{done: done})
}

// Settle queues n behind what was announced before.
func (b *Backplane) Settle(n *backplane.Note, done func(error)) {
	l, name := b.carrier(n.Channel)
	if l == nil {
		done(errDown)
		return
	}
	l.pub.send(name, func(buf []byte) []byte { return appendNote(buf, n) },
		nil, waiter{done: done})
}

// SendHeads sends each on its topic's channel.
func (b *Backplane) SendHeads(hs []backplane.Heads) {
	for i := range hs {
		l, name := b.carrier(hs[i].Channel)
		if l == nil {
			return
		}
		l.pub.send(name, func(buf []byte) []byte { return appendHeads(buf, &hs[i]) },
			nil, waiter{})
	}
}

// Join subscribes. done(nil) is called when Redis has confirmed it.
func (b *Backplane) Join(ch backplane.Channel, done func(error)) {
	l, name := b.carrier(ch)
	if l == nil {
		done(errDown)
		return
	}
	l.sub.join(name, ch, nil, done)
}

// Leave unsubscribes; nothing of the channel is passed on from now.
func (b *Backplane) Leave(ch backplane.Channel) {
	if l, name := b.carrier(ch); l != nil {
		l.sub.leave(name)
	}
}

// Fence sends a ping down the subscribing connection: what Redis had sent comes before its pong.
func (b *Backplane) Fence(ch backplane.Channel, at func(error)) {
	l, name := b.carrier(ch)
	if l == nil {
		at(errDown)
		return
	}
	l.sub.fence(name, at)
}

// Tell publishes c on the channel that every node has joined, and waits for Redis's answer.
func (b *Backplane) Tell(ctx context.Context, c backplane.Command) error {
	k := b.link.Load()
	if k == nil {
		return errDown
	}
	c.Node = b.id
	name := b.names.control()
	answer := make(chan error, 1)
	k.line(name).pub.send(name, func(buf []byte) []byte { return appendOrder(buf, &c, b.sender) },
		nil, waiter{done: func(err error) { answer <- err }})
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return unavailable("tell", context.Cause(ctx))
	}
}

// arrive passes on what came on a topic's channel.
func (b *Backplane) arrive(l *line, ch backplane.Channel, payload []byte) {
	r := b.receiver.Load()
	if r == nil {
		return
	}
	kind, f, err := open(payload)
	if err == nil {
		switch kind {
		case kindCopy:
			c := &backplane.Copy{Channel: ch}
			var issued int64
			if issued, err = f.decodeCopy(c); err == nil {
				c.Issued = l.clock.local(issued)
				l.run.add(c)
			}
		case kindNote:
			n := &backplane.Note{Channel: ch}
			if err = f.decodeNote(n); err == nil {
				l.run.passOn()
				(*r).Note(n)
			}
		case kindHeads:
			h := &backplane.Heads{Channel: ch}
			if err = f.decodeHeads(h); err == nil {
				l.run.passOn()
				(*r).Heads(h)
			}
		default:
			err = errForeign
		}
	}
	if err != nil {
		b.counts.unread.Add(1)
	}
}

// command passes on another node's command.
func (b *Backplane) command(payload []byte) {
	kind, f, err := open(payload)
	if err == nil && kind != kindCommand {
		err = errForeign
	}
	var c backplane.Command
	var sender string
	if err == nil {
		sender, err = f.decodeCommand(&c)
	}
	if err != nil {
		b.counts.unread.Add(1)
		return
	}
	if r := b.receiver.Load(); r != nil && sender != b.sender {
		(*r).Command(&c)
	}
}
