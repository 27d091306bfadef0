package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fastport/fastport/backplane"
)

// A living node is a member of one sorted set, scored with the end of its lease by Redis's clock in ms; beside it, two
// hashes say which end of the backplane has the name (a node that starts again is another one) and what it says of itself.
// KEYS are alive, ends, words in all of these.
var (
	// beat renews a lease: ARGV id, end, words, ms. It answers whether the lease was this end's and running, and clears
	// away those that ended. Another end with the same name loses it.
	beat = goredis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
	redis.call('ZREM', KEYS[1], id)
	redis.call('HDEL', KEYS[2], id)
	redis.call('HDEL', KEYS[3], id)
end
local had = redis.call('HGET', KEYS[2], ARGV[1]) or ''
redis.call('ZADD', KEYS[1], now + ARGV[4], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[1], ARGV[3])
return had`)

	// quit ends a lease: ARGV id, end.
	quit = goredis.NewScript(`
if redis.call('HGET', KEYS[2], ARGV[1]) == ARGV[2] then
	redis.call('ZREM', KEYS[1], ARGV[1])
	redis.call('HDEL', KEYS[2], ARGV[1])
	redis.call('HDEL', KEYS[3], ARGV[1])
end
return 1`)

	// living answers the ends of the living, and what they say where ARGV[1] is 1.
	living = goredis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')
if #ids == 0 then return {} end
return redis.call('HMGET', KEYS[ARGV[1] == '1' and 3 or 2], unpack(ids))`)
)

func (b *Backplane) nodeKeys() []string {
	return []string{b.names.alive(), b.names.ends(), b.names.words()}
}

// Heartbeat renews this node's lease, and puts right what Redis has lost of its users since the last one.
func (b *Backplane) Heartbeat(ctx context.Context, n backplane.Node) error {
	n.ID = b.id
	words, err := json.Marshal(n)
	if err != nil {
		return fmt.Errorf("redis: heartbeat: %w", err)
	}
	b.leased.Store(true)
	return b.call(ctx, "heartbeat", func(ctx context.Context) error {
		had, err := beat.Run(ctx, b.client, b.nodeKeys(), b.id, b.sender, words, backplane.Lease.Milliseconds()).Text()
		if err != nil {
			return err
		}
		if had != b.sender {
			if had != "" {
				b.log.Warn("redis: another process has this node's id, or had it until a moment ago", "node", b.id)
			}
			// Redis was emptied, or the lease had ended and others have cleared away what was this node's.
			b.presence.doubt()
		}
		return b.presence.mend(ctx)
	})
}

// Nodes lists the living by id.
func (b *Backplane) Nodes(ctx context.Context) (list []backplane.Node, err error) {
	err = b.call(ctx, "nodes", func(ctx context.Context) error {
		words, err := living.Run(ctx, b.client, b.nodeKeys(), 1).StringSlice()
		if err != nil {
			return err
		}
		for _, w := range words {
			var n backplane.Node
			if json.Unmarshal([]byte(w), &n) == nil {
				list = append(list, n)
			}
		}
		slices.SortFunc(list, func(a, b backplane.Node) int { return strings.Compare(a.ID, b.ID) })
		return nil
	})
	return list, err
}

// retire ends the lease, as the last thing that this end does.
func (b *Backplane) retire() {
	if !b.leased.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := quit.Run(ctx, b.client, b.nodeKeys(), b.id, b.sender).Err(); err != nil {
		b.log.Info("redis: the lease runs out by itself", "cause", err.Error())
	}
}
