package redis

import (
	"context"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// count adds ARGV[1] to a counter whose window lasts ARGV[2] ms from its first addition; it answers the total and what
// is left of the window, in ms. 0 only reads.
var count = goredis.NewScript(`
if ARGV[1] == '0' then
	local total = redis.call('GET', KEYS[1])
	if not total then return {0, 0} end
	return {tonumber(total), math.max(redis.call('PTTL', KEYS[1]), 0)}
end
local total = redis.call('INCRBY', KEYS[1], ARGV[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
	redis.call('PEXPIRE', KEYS[1], ARGV[2])
	left = tonumber(ARGV[2])
end
return {total, left}`)

// Add counts in a window of Redis's own clock, atomically. It is not repeated by itself: on an error it is unknown
// whether n was added.
func (b *Backplane) Add(ctx context.Context, key string, n int64, window time.Duration) (total int64, left time.Duration, err error) {
	err = b.call(ctx, "add", func(ctx context.Context) error {
		ms := max(window.Milliseconds(), 1)
		answer, err := count.Run(ctx, b.client, []string{b.names.counter(key)}, n, ms).Int64Slice()
		if err == nil {
			total, left = answer[0], time.Duration(answer[1])*time.Millisecond
		}
		return err
	})
	return total, left, err
}

// Reset forgets a key.
func (b *Backplane) Reset(ctx context.Context, key string) error {
	return b.call(ctx, "reset", func(ctx context.Context) error {
		return b.client.Del(ctx, b.names.counter(key)).Err()
	})
}
