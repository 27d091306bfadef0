package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/fastport/fastport/backplane"
)

const (
	dialPatience   = 2 * time.Second
	answerPatience = 3 * time.Second // for the answer to a publish: the engine waits no longer either
	echoPatience   = 5 * time.Second // for the canary

	tick       = 250 * time.Millisecond
	canaryTick = 4 // ticks from one canary to the next

	measurements = 5 // round trips to measure a clock before a line is used
)

var (
	// errDeaf: Redis takes what this node publishes, and its subscribing connection brings nothing, or no answer.
	errDeaf   = errors.New("redis: deaf: published messages do not come back")
	errSilent = errors.New("redis: no answer to a publish")
	errRole   = errors.New("redis: the server is a replica")
)

// line is a node's two connections to one Redis: one publishes, one subscribes. It works as a whole or not at all.
type line struct {
	addr   string
	shards bool // a Redis Cluster's
	clock  *clock
	pub    *publisher
	sub    *subscriber
	run    run
	canary canary
	heard  chan struct{} // the first canary is back
	first  sync.Once     // closes heard
	tell   func()        // another canary is back
	counts *counts
	stop   chan struct{}
	work   sync.WaitGroup

	breaking sync.Once
	cause    error         // why it broke; good once broken is closed
	broken   chan struct{} // it works no more, and waits for its close
	lost     func(error)   // told once
}

// fail gives the line up.
func (l *line) fail(cause error) {
	l.breaking.Do(func() {
		l.cause = cause
		close(l.broken)
		l.lost(cause)
	})
}

// openLine connects to the Redis at s and returns once a message has gone out and come back.
func (b *Backplane) openLine(ctx context.Context, s shard, lost func(error)) (*line, error) {
	l := &line{addr: s.addr, shards: b.target.shape == cluster, clock: newClock(), counts: &b.counts, lost: lost,
		heard: make(chan struct{}), stop: make(chan struct{}), broken: make(chan struct{}), tell: b.heard}
	l.canary = canary{name: b.canaryName(s), clock: l.clock}
	out, err := b.target.dial(ctx, s.addr, b.clientName("pub"))
	if err != nil {
		return nil, err
	}
	if err := l.measure(out); err != nil {
		out.Close()
		return nil, err
	}
	in, err := b.target.dial(ctx, s.addr, b.clientName("sub"))
	if err != nil {
		out.Close()
		return nil, l.deafIfLate(err)
	}
	verb := "PUBLISH"
	if l.shards {
		verb = "SPUBLISH"
	}
	l.pub = newPublisher(out, verb, &b.counts)
	l.sub = newSubscriber(in, l.shards, func(ch backplane.Channel, payload []byte) { b.arrive(l, ch, payload) }, &b.counts)
	l.run.to = &b.receiver
	l.sub.other, in.starve = l.run.passOn, l.run.passOn
	for _, work := range []func() error{
		func() error { return l.pub.write(l.stop) }, l.pub.read,
		func() error { return l.sub.write(l.stop) }, l.sub.read,
	} {
		l.work.Go(func() { l.fail(work()) })
	}
	if err := l.listen(ctx, b, s); err != nil {
		l.close(err)
		return nil, err
	}
	l.work.Go(l.watch)
	return l, nil
}

// measure compares clocks, and makes sure that it is a master whose subscribers hear what is published there.
func (l *line) measure(c *conn) error {
	c.SetDeadline(time.Now().Add(dialPatience))
	defer c.SetDeadline(time.Time{})
	for range measurements {
		asked := l.clock.now()
		r, err := c.do("TIME")
		if err != nil {
			return err
		}
		l.learn(asked, r)
	}
	r, err := c.do("ROLE")
	var refused refusal
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	return l.checkRole(r)
}

func (l *line) learn(asked time.Duration, r reply) {
	if len(r.list) != 2 {
		return
	}
	seconds, err := strconv.ParseInt(r.list[0].text, 10, 64)
	micros, err2 := strconv.ParseInt(r.list[1].text, 10, 64)
	if err == nil && err2 == nil {
		l.clock.learn(asked, l.clock.now(), seconds*1e6+micros)
	}
}

// checkRole takes the answer to ROLE; a server that refuses to tell is believed.
func (l *line) checkRole(r reply) error {
	if r.kind == '*' && len(r.list) > 0 && r.list[0].text != "master" {
		return fmt.Errorf("%w: %s", errRole, l.addr)
	}
	return nil
}

// listen joins the node's own channels and waits for a canary.
func (l *line) listen(ctx context.Context, b *Backplane, s shard) error {
	joined := make(chan error, 2)
	l.sub.join(l.canary.name, backplane.Channel{}, l.echo, func(err error) { joined <- err })
	waiting := 1
	if control := b.names.control(); s.holds(control) {
		waiting++
		l.sub.join(control, backplane.Channel{}, b.command, func(err error) { joined <- err })
	}
	patience := time.NewTimer(echoPatience)
	defer patience.Stop()
	for waiting > 0 {
		select {
		case err := <-joined:
			if err != nil {
				return err
			}
			if waiting--; waiting == 0 {
				l.release()
			}
		case <-patience.C:
			return l.whoIsSilent(ctx)
		case <-l.broken:
			return l.cause
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	select {
	case <-l.heard:
		return nil
	case <-patience.C:
		return l.whoIsSilent(ctx)
	case <-l.broken:
		return l.cause
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// whoIsSilent tells a subscribing connection that brings nothing from a Redis that does nothing.
func (l *line) whoIsSilent(ctx context.Context) error {
	alive := make(chan error, 1)
	l.pub.ask(func(_ reply, err error) { alive <- err }, "PING")
	patience := time.NewTimer(answerPatience)
	defer patience.Stop()
	select {
	case err := <-alive:
		if err != nil {
			return err
		}
		return errDeaf
	case <-patience.C:
		return errSilent
	case <-l.broken:
		return l.cause
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// deafIfLate: publishing works, so a subscribing connection that gets no answer is deaf; one that is refused is not.
func (l *line) deafIfLate(err error) error {
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		return fmt.Errorf("%w: %w", errDeaf, err)
	}
	return err
}

// watch keeps time: it sends canaries and gives the line up once Redis answers no more or the canaries stay away.
func (l *line) watch() {
	clock := time.NewTicker(tick)
	defer clock.Stop()
	for n := 1; ; n++ {
		select {
		case <-clock.C:
		case <-l.stop:
			return
		}
		switch {
		case l.pub.pass() > uint64(answerPatience/tick):
			l.fail(errSilent)
		case l.canary.pass() > int(echoPatience/tick), l.sub.pass() > uint64(echoPatience/tick):
			l.fail(errDeaf)
		}
		if n%canaryTick == 0 {
			l.release()
			l.compare()
		}
	}
}

// release sends a canary.
func (l *line) release() {
	number := l.canary.next()
	l.pub.send(l.canary.name, func(b []byte) []byte { return appendCanary(b, number) }, nil,
		waiter{done: func(err error) {
			if err == nil {
				l.canary.taken(number)
			} else if !errors.Is(err, errOverflow) {
				l.fail(err) // refused: the channel's slot has moved, say
			}
		}})
}

// echo takes a canary that came back.
func (l *line) echo(payload []byte) {
	kind, f, err := open(payload)
	if err != nil || kind != kindCanary {
		return
	}
	number, err := f.decodeCanary()
	if err != nil {
		return
	}
	if took := l.canary.back(number); took > 0 {
		l.counts.roundTrip.Observe(took)
	}
	if number == 1 {
		l.first.Do(func() { close(l.heard) })
		return
	}
	l.tell()
}

// compare measures the clock again and looks whether the server is still a master.
func (l *line) compare() {
	asked := l.clock.now()
	l.pub.ask(func(r reply, err error) {
		if err == nil {
			l.learn(asked, r)
		}
	}, "TIME")
	if l.shards {
		return // a replica of a cluster refuses to publish
	}
	l.pub.ask(func(r reply, err error) {
		if err == nil {
			if err = l.checkRole(r); err != nil {
				l.fail(err)
			}
		}
	}, "ROLE")
}

// close ends the line; when it returns everything that waited has its answer, and nothing more arrives.
func (l *line) close(cause error) {
	close(l.stop)
	l.pub.conn.Close()
	l.sub.conn.Close()
	l.work.Wait()
	l.pub.end(cause)
	l.sub.end(cause)
}
