package rig

import "errors"

// Link is a node's way to Redis or to Postgres. Faults add up until Heal. Methods return at once and are safe for
// concurrent use.
type Link struct{ proxies []*proxy }

// Cut ends every connection and refuses new ones.
func (l *Link) Cut() { l.each((*proxy).cut) }

// Freeze passes nothing and loses nothing: connections stay, new ones are taken, and after Heal all that was sent
// meanwhile arrives late.
func (l *Link) Freeze() { l.CutOneWay(ToServer); l.CutOneWay(ToNode) }

// CutOneWay is Freeze for one direction: the other passes.
func (l *Link) CutOneWay(d Direction) { l.each(func(p *proxy) { p.stall(d) }) }

// Deafen throws away what the server says on all connections of this moment; they stay, and the server hears the node.
// New connections are sound: who notices and connects again is healed.
func (l *Link) Deafen() { l.each(func(p *proxy) { p.deafen(false) }) }

// DeafenSubscriptions is Deafen for those connections alone on which the node subscribed to something in Redis.
func (l *Link) DeafenSubscriptions() { l.each(func(p *proxy) { p.deafen(true) }) }

// Heal undoes all of it. Connections that lost something end.
func (l *Link) Heal() error {
	var errs []error
	l.each(func(p *proxy) { errs = append(errs, p.heal()) })
	return errors.Join(errs...)
}

func (l *Link) each(do func(*proxy)) {
	for _, p := range l.proxies {
		do(p)
	}
}

func (l *Link) close() { l.each((*proxy).close) }

// proxyFor adds a proxy before a server.
func (l *Link) proxyFor(target string) (*proxy, error) {
	p, err := newProxy(target)
	if p != nil {
		l.proxies = append(l.proxies, p)
	}
	return p, err
}
