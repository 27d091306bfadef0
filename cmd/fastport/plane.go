package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9/logging"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/backplane/memory"
	"github.com/fastport/fastport/backplane/redis"
)

// reachTime is how long a start looks for Redis, to tell people of it; the node goes on looking for ever.
const reachTime = 2 * time.Second

// openPlane opens the backplane that c names. The text says which it is, without a secret; "" where the node is alone.
// Redis that is out of reach is no error: the node serves what it can, and finds it when it comes.
func openPlane(ctx context.Context, c *Config, id string, log *slog.Logger) (p backplane.Backplane, text string, err error) {
	if !c.Cluster() {
		return memory.NewBus().Node(id), "", nil
	}
	logging.Disable() // of the client's library, which writes past slog; what matters is logged by the backplane
	p, err = redis.Open(ctx, redis.Options{URL: c.RedisURL.Reveal(), URLs: c.RedisURLs.Reveal(), NodeID: id, Logger: log})
	if err != nil {
		return nil, "", err
	}
	text = redisText(c)
	ctx, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	if _, err := p.Nodes(ctx); err != nil {
		text += " (out of reach: messages of other nodes come late until it is back)"
	}
	return p, text, nil
}

// redisText is where Redis is, without its password.
func redisText(c *Config) string {
	var hosts []string
	for _, address := range append(commaList(c.RedisURL.Reveal()), commaList(c.RedisURLs.Reveal())...) {
		u, err := url.Parse(address)
		if err != nil {
			return "REDIS_URL"
		}
		hosts = append(append(hosts, u.Host), u.Query()["addr"]...)
		if master := u.Query().Get("master_name"); master != "" {
			return fmt.Sprintf("%s by Sentinel at %s", master, strings.Join(hosts, ", "))
		}
	}
	return strings.Join(hosts, ", ")
}
