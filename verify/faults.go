package verify

import (
	"context"
	"time"

	"github.com/fastport/fastport/internal/rig"
)

const sec = time.Second

// faults is the table: what docs/verify.md lists.
func faults() []Fault {
	return []Fault{
		{Name: "node-kill", Story: "a node is killed (SIGKILL), and started again", trouble: Nodes, full: 12 * sec, short: 5 * sec, alone: true, run: nodeKill},
		{Name: "node-freeze", Story: "a node hangs (SIGSTOP) and comes back", trouble: Nodes | Backplane | Store, full: 20 * sec, short: 8 * sec, alone: true, run: nodeFreeze},
		{Name: "drain", Story: "every node in turn leaves in good order (SIGTERM) and is started again", trouble: Nodes, full: 30 * sec, short: 20 * sec, run: drainAll},

		{Name: "redis-empty", Story: "Redis is killed and comes back empty", trouble: Backplane, full: 2 * sec, short: 2 * sec, run: redisEmpty},
		{Name: "redis-gone", Story: "no node reaches Redis", trouble: Backplane, full: 10 * sec, short: 5 * sec, ready: true, run: redisGone},
		{Name: "redis-frozen", Story: "Redis answers nobody, connections stay", trouble: Backplane, full: 10 * sec, short: 6 * sec, run: redisFrozen},
		{Name: "redis-deaf", Story: "a node's connections to Redis stay and nothing arrives on them", trouble: Backplane, full: 14 * sec, short: 12 * sec, alone: true, run: redisDeaf},
		{Name: "redis-one-way", Story: "one direction between a node and Redis stands still", trouble: Backplane, full: 10 * sec, short: 6 * sec, run: redisOneWay},
		{Name: "redis-cut", Story: "one node alone cannot reach Redis", trouble: Backplane, full: 10 * sec, short: 5 * sec, run: redisCut},
		{Name: "redis-failover", Story: "Redis's master is killed and Sentinels choose another", trouble: Backplane, full: 6 * sec, short: 6 * sec, sentinel: true, run: redisFailover},

		{Name: "postgres-kill", Story: "Postgres is killed and started again", trouble: Store, full: 4 * sec, short: 3 * sec, ready: true, run: postgresKill},
		{Name: "postgres-frozen", Story: "Postgres answers nobody, connections stay", trouble: Store, full: 10 * sec, short: 5 * sec, ready: true, run: postgresFrozen},
		{Name: "postgres-cut", Story: "one node alone cannot reach Postgres", trouble: Store, full: 10 * sec, short: 5 * sec, run: postgresCut},

		{Name: "half-open", Story: "three clients' hosts are gone without a word, in the middle of traffic", beside: silence + 12*sec, clients: halfOpen},
		{Name: "stuck-readers", Story: "fifty clients stop reading, half of them while they are flooded", beside: silence + 12*sec, quiet: 10 * sec, clients: stuckReaders},
	}
}

func nodeKill(ctx context.Context, s *stage, d time.Duration) (string, error) {
	i, n := s.node()
	s.prober.live(i, false)
	if err := n.Kill(); err != nil {
		return n.Name(), err
	}
	pause(ctx, d)
	err := n.Start()
	s.prober.live(i, true)
	return n.Name(), err
}

func nodeFreeze(ctx context.Context, s *stage, d time.Duration) (string, error) {
	i, n := s.awake()
	s.prober.live(i, false)
	if err := n.Freeze(); err != nil {
		return n.Name(), err
	}
	pause(ctx, d)
	err := n.Thaw()
	s.prober.live(i, true)
	return n.Name(), err
}

func drainAll(ctx context.Context, s *stage, _ time.Duration) (string, error) {
	const on = "every node"
	for i, n := range s.cluster.Nodes {
		s.prober.live(i, false)
		if err := n.Drain(); err != nil {
			return on, err
		}
		if err := n.Start(); err != nil {
			return on, err
		}
		s.prober.live(i, true)
		if i < len(s.cluster.Nodes)-1 { // as an orderly roll-out does: the next once this one serves
			s.await(ctx, s.l.now())
		}
	}
	return on, nil
}

func redisEmpty(_ context.Context, s *stage, _ time.Duration) (string, error) {
	return "redis", s.cluster.Redis.Restart()
}

func redisGone(ctx context.Context, s *stage, d time.Duration) (string, error) {
	for _, n := range s.cluster.Nodes {
		n.Redis().Cut()
	}
	pause(ctx, d)
	return "every node's way to redis", s.each(func(n *rig.Node) error { return n.Redis().Heal() })
}

func redisFrozen(ctx context.Context, s *stage, d time.Duration) (string, error) {
	for _, n := range s.cluster.Nodes { // on the way, so that no Sentinel sees it
		n.Redis().Freeze()
	}
	pause(ctx, d)
	return "every node's way to redis", s.each(func(n *rig.Node) error { return n.Redis().Heal() })
}

func redisDeaf(ctx context.Context, s *stage, d time.Duration) (string, error) {
	_, n := s.node()
	if s.rng.IntN(2) == 0 {
		n.Redis().Deafen()
	} else {
		n.Redis().DeafenSubscriptions()
	}
	pause(ctx, d)
	return n.Name(), n.Redis().Heal()
}

func redisOneWay(ctx context.Context, s *stage, d time.Duration) (string, error) {
	_, n := s.node()
	way, text := rig.ToServer, n.Name()+" to redis"
	if s.rng.IntN(2) == 0 {
		way, text = rig.ToNode, "redis to "+n.Name()
	}
	n.Redis().CutOneWay(way)
	pause(ctx, d)
	return text, n.Redis().Heal()
}

func redisCut(ctx context.Context, s *stage, d time.Duration) (string, error) {
	_, n := s.node()
	n.Redis().Cut()
	pause(ctx, d)
	return n.Name(), n.Redis().Heal()
}

func redisFailover(_ context.Context, s *stage, _ time.Duration) (string, error) {
	return "redis", s.cluster.Redis.Failover()
}

func postgresKill(ctx context.Context, s *stage, d time.Duration) (string, error) {
	if err := s.cluster.Postgres.Kill(); err != nil {
		return "postgres", err
	}
	pause(ctx, d)
	return "postgres", s.cluster.Postgres.Restart()
}

func postgresFrozen(ctx context.Context, s *stage, d time.Duration) (string, error) {
	if err := s.cluster.Postgres.Freeze(); err != nil {
		return "postgres", err
	}
	pause(ctx, d)
	return "postgres", s.cluster.Postgres.Thaw()
}

func postgresCut(ctx context.Context, s *stage, d time.Duration) (string, error) {
	_, n := s.node()
	n.Postgres().Cut()
	pause(ctx, d)
	return n.Name(), n.Postgres().Heal()
}
