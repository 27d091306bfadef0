package gateway

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

const (
	// lastWords is kept of a drain's time, at most, for those who are still there: to answer what they have published,
	// to close, and for the closes to pass.
	lastWords = time.Second
	// movePace is how long a drain takes for each client, if it has the time. The nodes that they go to let an address
	// open 200 connections a second, and behind a balancer all may have one.
	movePace = 10 * time.Millisecond
	// abortWait bounds the wait for connections that were cut off: only an engine that blocks in Closed needs it.
	abortWait = 5 * time.Second
)

var errStuck = errors.New("gateway: drain: connections are stuck in the engine")

// Drain ends the server before ctx does. It stops accepting, and lets HTTP requests end. Where other nodes take its
// clients (elsewhere), each of these has a random moment of its own, so that they do not come there as one wave: then
// it is told to move, if its Peer is a [session.Leaver] that can, or is closed with 1012. Where there is no other node
// all are closed at once, for whatever comes next can only begin when this one has ended. Who is still there at the
// end is closed, and cut off when ctx is done. Without a deadline in ctx all that comes at once. A further call waits
// for the first.
func (s *Server) Drain(ctx context.Context, elsewhere bool) error {
	s.drainOnce.Do(func() { s.drainErr = s.drain(ctx, elsewhere) })
	return s.drainErr
}

// Close ends the server now; a Drain that is under way hurries.
func (s *Server) Close() error {
	s.hurryOnce.Do(func() { close(s.hurry) })
	return s.Drain(context.Background(), false)
}

func (s *Server) drain(ctx context.Context, elsewhere bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.life.Lock()
	s.draining.Store(true)
	s.life.Unlock()
	s.tasks.Go(func() {
		select {
		case <-s.hurry:
			cancel()
		case <-ctx.Done():
		}
	})
	served := make(chan struct{})
	s.tasks.Go(func() {
		defer close(served)
		s.http.Shutdown(ctx) // what it leaves is cut off below
	})
	last := lastWords
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		last = max(0, min(last, left/2))
		if elsewhere {
			moving, stop := context.WithDeadline(ctx, end.Add(-last))
			s.move(moving, left-last)
			s.emptied(moving)
			stop()
		}
	}
	s.dismiss(last)
	<-served
	err := s.cutOff()
	s.stopTick()
	for _, p := range s.pollers {
		p.close()
	}
	if err == nil {
		cancel()
		s.tasks.Wait()
		for _, p := range s.pollers {
			p.free()
		}
	}
	return err
}

// move has every client go, each at its moment, and returns when those that cannot be told have gone, or ctx is done.
func (s *Server) move(ctx context.Context, left time.Duration) {
	type leaver struct {
		c  *conn
		at time.Duration
	}
	all := s.roster.all()
	// Whoever goes last has time for it.
	spread := max(1, min(left*3/4, time.Duration(len(all))*movePace))
	var untold []leaver
	for _, c := range all {
		at := rand.N(spread)
		if l, ok := c.leaver(); !ok || !l.Move(at) {
			untold = append(untold, leaver{c, at})
		}
	}
	slices.SortFunc(untold, func(a, b leaver) int { return cmp.Compare(a.at, b.at) })
	start := time.Now()
	for _, l := range untold {
		if l.c.state.Load() != stateOpen || !s.pause(ctx, start.Add(l.at)) {
			continue
		}
		l.c.leave()
	}
}

// pause waits until a moment. False: ctx was done, or the last connection gone, before.
func (s *Server) pause(ctx context.Context, until time.Time) bool {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	for s.open.Load() > 0 {
		select {
		case <-t.C:
			return ctx.Err() == nil
		case <-s.none:
		case <-ctx.Done():
			return false
		}
	}
	return false
}

// emptied waits until no connection is left, or ctx is done.
func (s *Server) emptied(ctx context.Context) {
	for s.open.Load() > 0 {
		select {
		case <-s.none:
		case <-ctx.Done():
			return
		}
	}
}

// dismiss closes all connections and waits for them to be gone: half of the time for what they are still to be
// answered, half for the closes.
func (s *Server) dismiss(within time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), within/2)
	defer cancel()
	for _, c := range s.roster.all() {
		c.leave()
	}
	s.emptied(ctx)
	ctx, cancel = context.WithTimeout(context.Background(), within/2)
	defer cancel()
	for _, c := range s.roster.all() {
		c.close(causeDrain, protocol.CloseDraining, "this node is going")
	}
	s.emptied(ctx)
}

// leaver is the connection's Peer as one that can go; false where it is none, or not there yet.
func (c *conn) leaver() (session.Leaver, bool) {
	if !c.opened.Load() {
		return nil, false
	}
	l, ok := c.peer.(session.Leaver)
	return l, ok
}

// leave closes the connection with 1012, behind the answers that its client waits for.
func (c *conn) leave() {
	if l, ok := c.leaver(); ok {
		l.Leave()
		return
	}
	c.close(causeDrain, protocol.CloseDraining, "this node is going")
}

// cutOff ends what is still there.
func (s *Server) cutOff() error {
	s.http.Close()
	t := time.NewTimer(abortWait)
	defer t.Stop()
	for s.open.Load() > 0 {
		for _, c := range s.roster.all() {
			c.abort(causeDrain)
		}
		select {
		case <-s.none:
		case <-t.C:
			return errStuck
		}
	}
	return nil
}
