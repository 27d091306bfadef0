package gateway

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/fastport/fastport/protocol"
)

// roster is all connections, in shards. Time passes for them in ticks, on one goroutine: no connection has a timer.
//
// A shard keeps each connection in one of its turns, which come round once in a PingInterval: then it is pinged. The
// turn is drawn at random, so pings are spread evenly. Whoever is up against a deadline (login, pong, a half-received
// message, an outbox that is stuck, a close) is on the watch list besides, and looked at in each tick.
type roster []*shard

type shard struct {
	count counters

	mu    sync.Mutex // guards the following
	turns [][]*conn
	now   int // the turn that came last
	watch []*conn
}

func newRoster(shards, turns int) roster {
	r := make(roster, shards)
	for i := range r {
		r[i] = &shard{turns: make([][]*conn, turns)}
	}
	return r
}

func (r roster) pick() *shard { return r[rand.IntN(len(r))] }

// all is every connection now.
func (r roster) all() []*conn {
	var all []*conn
	for _, s := range r {
		s.mu.Lock()
		for _, turn := range s.turns {
			all = append(all, turn...)
		}
		s.mu.Unlock()
	}
	return all
}

func (s *shard) add(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.turn = int32(rand.IntN(len(s.turns)))
	c.index = int32(len(s.turns[c.turn]))
	s.turns[c.turn] = append(s.turns[c.turn], c)
}

func (s *shard) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	turn := s.turns[c.turn]
	last := turn[len(turn)-1]
	turn[c.index], last.index = last, c.index
	turn[len(turn)-1] = nil
	s.turns[c.turn] = turn[:len(turn)-1]
}

// watch puts c on the list of those to look at in each tick. May be called under c.mu.
func (c *conn) watch() {
	if c.watched.CompareAndSwap(false, true) {
		c.shard.mu.Lock()
		c.shard.watch = append(c.shard.watch, c)
		c.shard.mu.Unlock()
	}
}

// tickTime is the pace of time: fine enough for the shortest deadline, a second at the most.
func tickTime(cfg *Config) time.Duration {
	shortest := min(cfg.HeaderTimeout, cfg.InitTimeout, cfg.PingInterval, cfg.PongTimeout, cfg.SlowConsumerAfter, cfg.CloseLinger, cfg.FrameTimeout)
	return max(2*time.Millisecond, min(time.Second, shortest/5))
}

// tick runs time until ctx is done.
func (s *Server) tick(ctx context.Context) {
	t := time.NewTicker(s.tickTime)
	defer t.Stop()
	var due []*conn
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for _, p := range s.pollers {
			p.late(s.now())
		}
		for _, sh := range s.roster {
			due = sh.due(due[:0])
			for _, c := range due {
				c.Ping()
			}
			due = sh.watchedNow(due[:0])
			for _, c := range due {
				c.look(s.now())
			}
			clear(due)
		}
		if n%int(max(1, time.Minute/s.tickTime)) == 0 {
			s.limits.forget(time.Now())
		}
	}
}

// due appends the connections whose turn it is.
func (s *shard) due(to []*conn) []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = (s.now + 1) % len(s.turns)
	return append(to, s.turns[s.now]...)
}

// watchedNow empties the watch list into to.
func (s *shard) watchedNow(to []*conn) []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	to = append(to, s.watch...)
	clear(s.watch)
	s.watch = s.watch[:0]
	return to
}

// look checks c's deadlines, and stays on the watch list while there are any.
func (c *conn) look(now time.Duration) {
	// Before the checks: whoever sets a deadline meanwhile puts c on the list again.
	c.watched.Store(false)
	cfg := &c.srv.cfg
	keep := false
	switch c.state.Load() {
	case stateClosed:
		return
	case stateClosing:
		c.mu.Lock()
		began := c.bye.at
		over := now-began >= cfg.CloseLinger
		l, known := c.drv.line()
		c.witness().look(l, 0, now)
		// A peer that has taken nothing since: its kernel's share and ours would be kept for minutes, for nobody.
		c.reset = over && known && l.queued > 0 && c.seen.took < began
		c.mu.Unlock()
		if over {
			c.abort(causeLost)
			return
		}
		keep = true
	default:
		keep = c.lookLogin(now, cfg)
		keep = c.lookHalf(now, cfg) || keep
		keep = c.lookOut(now, cfg) || keep
	}
	if keep {
		c.watch()
	}
}

// witness is what was seen of the line until now.
func (c *conn) witness() *witness {
	if c.seen == nil {
		c.seen = new(witness)
	}
	return c.seen
}

func (c *conn) lookLogin(now time.Duration, cfg *Config) bool {
	if !c.opened.Load() {
		return true
	}
	if !c.login.Load() {
		return false
	}
	if c.peer.Ready() {
		c.settle()
		return false
	}
	// Who waits for the engine has sent its init.
	if now-c.since >= cfg.InitTimeout && c.gate.Load() >= 0 {
		c.close(causeNoInit, protocol.CloseNoInit, "no init in time")
	}
	return true
}

// lookHalf judges a half-received message: it has FrameTimeout, and a second more for each FrameRate bytes that came.
func (c *conn) lookHalf(now time.Duration, cfg *Config) bool {
	since := c.half.Load()
	if since == 0 {
		return false
	}
	granted := cfg.FrameTimeout + time.Duration(float64(c.halfN.Load())/float64(cfg.FrameRate)*float64(time.Second))
	if now-time.Duration(since) >= granted {
		c.close(causeStalled, protocol.CloseBadFrame, "message comes too slowly")
	}
	return true
}

// lookOut closes who takes nothing of what waits for it, and who gives no sign of life after a ping.
func (c *conn) lookOut(now time.Duration, cfg *Config) bool {
	if c.gate.Load() < 0 {
		c.heard.Store(int64(now)) // nobody reads, because the engine said wait: a pong would not be heard
	}
	c.mu.Lock()
	waits, pinged := c.out != nil, c.pinged
	if !waits && pinged == 0 || c.state.Load() != stateOpen {
		c.mu.Unlock()
		c.seen = nil
		return false
	}
	moved, owed := c.moved, max(pinged, c.pingedOut)
	if pinged != 0 && waits && c.out.pings > 0 {
		pinged = 0 // it waits here: no pong is owed yet
	}
	l, known := c.drv.line()
	c.mu.Unlock()

	if known {
		c.witness().look(l, pinged, now)
		moved = max(moved, c.seen.took)
		owed = max(owed, c.seen.read)
	} else {
		// What the kernel takes may be to nobody: that is no excuse for longer than a full outbox has.
		owed = max(owed, min(moved, owed+cfg.SlowConsumerAfter-cfg.PongTimeout))
	}
	switch {
	case waits && now-moved >= cfg.SlowConsumerAfter:
		c.close(causeSlow, protocol.CloseSlowConsumer, "nothing is taken from the outbox")
	case pinged != 0 && now-max(owed, time.Duration(c.heard.Load())) >= cfg.PongTimeout:
		c.close(causeSilent, protocol.CloseGoingAway, "no pong")
	}
	return true
}
