package redis

import (
	"context"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

const (
	// userLife is how long a user's hash outlives the last change to it. Living nodes write theirs again in half of it;
	// so what a dead node left of a user whom nobody asks for goes away.
	userLife = 24 * time.Hour

	// presenceBatch is how many users are written in one go.
	presenceBatch = 500
)

// member is a user of a session.
type member struct{ session, user string }

// presence keeps what this node says of its users, and sees that Redis has it: one hash a user, with a field for each
// end of the backplane that holds connections. A field counts while its end lives.
//
// Changes are written by one goroutine at a time, whatever has changed until then in one go: so the last word about a
// user is also the last one in Redis, and a storm of log-ins costs few round trips.
type presence struct {
	b       *Backplane
	writing chan struct{} // holds a word while somebody writes

	mu      sync.Mutex // guards the following
	users   map[member]int
	changed map[member]struct{} // not in Redis yet
	whole   time.Time           // when all was last written
}

func (p *presence) init(b *Backplane) {
	p.b, p.writing = b, make(chan struct{}, 1)
	p.users, p.changed, p.whole = map[member]int{}, map[member]struct{}{}, time.Now()
}

// SetPresence records how many connections this node holds for a user. Where it fails, a Heartbeat makes up for it.
func (b *Backplane) SetPresence(ctx context.Context, session, user string, connections int) error {
	return b.call(ctx, "presence", func(ctx context.Context) error {
		m := member{session, user}
		p := &b.presence
		p.mu.Lock()
		if connections > 0 {
			p.users[m] = connections
		} else {
			delete(p.users, m)
		}
		p.changed[m] = struct{}{}
		p.mu.Unlock()
		return p.write(ctx, func() bool { _, waits := p.changed[m]; return waits })
	})
}

// doubt has everything written again.
func (p *presence) doubt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.whole = time.Now()
	for m := range p.users {
		p.changed[m] = struct{}{}
	}
}

// mend writes what is not in Redis yet, and now and then everything.
func (p *presence) mend(ctx context.Context) error {
	p.mu.Lock()
	old := time.Since(p.whole) > userLife/2
	p.mu.Unlock()
	if old {
		p.doubt()
	}
	return p.write(ctx, func() bool { return len(p.changed) > 0 })
}

// write brings changes to Redis until want, called under mu, says that none waits that it cares for.
func (p *presence) write(ctx context.Context, want func() bool) error {
	select {
	case p.writing <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-p.writing }()
	for {
		p.mu.Lock()
		if !want() {
			p.mu.Unlock()
			return nil
		}
		batch := make(map[member]int, min(len(p.changed), presenceBatch))
		for m := range p.changed {
			batch[m] = p.users[m]
			delete(p.changed, m)
			if len(batch) == presenceBatch {
				break
			}
		}
		p.mu.Unlock()
		if err := p.put(ctx, batch); err != nil {
			p.mu.Lock()
			for m := range batch {
				p.changed[m] = struct{}{}
			}
			p.mu.Unlock()
			return err
		}
	}
}

func (p *presence) put(ctx context.Context, batch map[member]int) error {
	_, err := p.b.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for m, connections := range batch {
			key := p.b.names.user(m.session, m.user)
			if connections == 0 {
				pipe.HDel(ctx, key, p.b.sender)
				continue
			}
			pipe.HSet(ctx, key, p.b.sender, connections)
			pipe.PExpire(ctx, key, userLife)
		}
		return nil
	})
	return err
}

// Online reports, for each user, whether a living node holds a connection.
func (b *Backplane) Online(ctx context.Context, session string, users []string) ([]bool, error) {
	return b.online(ctx, session, users, "")
}

// Elsewhere is Online of the other nodes' connections.
func (b *Backplane) Elsewhere(ctx context.Context, session string, users []string) ([]bool, error) {
	return b.online(ctx, session, users, b.sender)
}

// online reads who lives and each user's fields in one go, and clears away the fields of the dead that it meets. What
// one end holds does not count.
func (b *Backplane) online(ctx context.Context, session string, users []string, but string) (online []bool, err error) {
	err = b.call(ctx, "online", func(ctx context.Context) error {
		ends, err := living.Run(ctx, b.client, b.nodeKeys(), 0).StringSlice()
		if err != nil {
			return err
		}
		alive := make(map[string]bool, len(ends))
		for _, end := range ends {
			alive[end] = true
		}
		fields := make([]*goredis.StringSliceCmd, len(users))
		if _, err := b.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
			for i, user := range users {
				fields[i] = pipe.HKeys(ctx, b.names.user(session, user))
			}
			return nil
		}); err != nil {
			return err
		}
		online = make([]bool, len(users))
		dead := map[string][]string{}
		for i, field := range fields {
			for _, end := range field.Val() {
				if alive[end] {
					online[i] = online[i] || end != but
				} else {
					key := b.names.user(session, users[i])
					dead[key] = append(dead[key], end)
				}
			}
		}
		if len(dead) > 0 {
			// At best; a node that was only frozen writes its own again with its next Heartbeat.
			b.client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
				for key, ends := range dead {
					pipe.HDel(ctx, key, ends...)
				}
				return nil
			})
		}
		return nil
	})
	return online, err
}
