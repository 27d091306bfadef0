package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

var (
	// claim makes ARGV[1] the holder for ARGV[2] ms where nobody else is, and answers who is.
	claim = goredis.NewScript(`
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]`)

	// release ends ARGV[1]'s hold.
	release = goredis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1`)
)

// Claim makes value the holder of key for ttl, or says who else is.
func (b *Backplane) Claim(ctx context.Context, key, value string, ttl time.Duration) (held string, err error) {
	err = b.call(ctx, "claim", func(ctx context.Context) (err error) {
		held, err = claim.Run(ctx, b.client, []string{b.names.lease(key)}, value, max(ttl.Milliseconds(), 1)).Text()
		return err
	})
	return held, err
}

// Holder is who holds key.
func (b *Backplane) Holder(ctx context.Context, key string) (held string, err error) {
	err = b.call(ctx, "holder", func(ctx context.Context) (err error) {
		held, err = b.client.Get(ctx, b.names.lease(key)).Result()
		if errors.Is(err, goredis.Nil) {
			held, err = "", nil
		}
		return err
	})
	return held, err
}

// Release ends value's hold on key.
func (b *Backplane) Release(ctx context.Context, key, value string) error {
	return b.call(ctx, "release", func(ctx context.Context) error {
		return release.Run(ctx, b.client, []string{b.names.lease(key)}, value).Err()
	})
}
