package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/fastport/fastport/backplane"
	"github.com/fastport/fastport/backplane/memory"
)

// openPlane opens the backplane that c names. The text says which it is, without a secret; "" where the node is alone.
func openPlane(_ context.Context, c *Config, id string, _ *slog.Logger) (p backplane.Backplane, text string, err error) {
	if !c.Cluster() {
		return memory.NewBus().Node(id), "", nil
	}
	return nil, "", fmt.Errorf("cannot open Redis: %s", redisText(c))
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
