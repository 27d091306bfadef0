package gateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/fastport/fastport/protocol"
)

// drainEnd is kept of a drain's time, at most, for the last closes to pass.
const drainEnd = 2 * time.Second

// abortWait bounds the wait for connections that were cut off: only an engine that blocks in Closed needs it.
const abortWait = 5 * time.Second

var errStuck = errors.New("gateway: drain: connections are stuck in the engine")

// Drain ends the server before ctx does: it stops accepting, closes WebSocket connections with 1012, each at its own
// moment so that their reconnects do not come as one wave, lets HTTP requests end, and cuts off what is left when ctx
// is done. Without a deadline in ctx all are closed at once. A further call waits for the first.
func (s *Server) Drain(ctx context.Context) error {
	s.drainOnce.Do(func() { s.drainErr = s.drain(ctx) })
	return s.drainErr
}

// Close ends the server now; a Drain that is under way hurries.
func (s *Server) Close() error {
	s.hurryOnce.Do(func() { close(s.hurry) })
	return s.Drain(context.Background())
}

func (s *Server) drain(ctx context.Context) error {
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
	s.closeSpread(ctx)
	for s.open.Load() > 0 {
		select {
		case <-s.none:
			continue
		case <-ctx.Done():
		}
		break
	}
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

// closeSpread closes all connections, in random order, evenly over the time there is.
func (s *Server) closeSpread(ctx context.Context) {
	all := s.roster.all()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var each time.Duration
	if end, ok := ctx.Deadline(); ok && len(all) > 0 {
		left := time.Until(end)
		each = max(0, left-min(drainEnd, left/2)) / time.Duration(len(all))
	}
	start := time.Now()
	for i, c := range all {
		if wait := time.Until(start.Add(time.Duration(i) * each)); wait > time.Millisecond {
			t := time.NewTimer(wait)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
			}
		}
		c.close(causeDrain, protocol.CloseDraining, "this node is going")
	}
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
