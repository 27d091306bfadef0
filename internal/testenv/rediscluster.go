package testenv

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fastport/fastport/internal/daemon"
)

// RedisCluster is a Redis Cluster for tests that break it.
type RedisCluster struct {
	Masters  []*Server // at the start, each with a third of the slots
	Replicas []*Server // Replicas[i] is of Masters[i], where there are any
}

// StartRedisCluster starts three masters, and a replica of each where replicated says so, and returns once every node
// finds the cluster whole. They end with t.
func StartRedisCluster(t testing.TB, replicated bool) *RedisCluster {
	t.Helper()
	const masters = 3
	nodes := make([]clusterNode, masters, 2*masters)
	if replicated {
		nodes = nodes[:2*masters]
	}
	c := &RedisCluster{}
	for i := range nodes {
		nodes[i] = startClusterNode(t)
		if i < masters {
			c.Masters = append(c.Masters, nodes[i].Server)
		} else {
			c.Replicas = append(c.Replicas, nodes[i].Server)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := form(ctx, nodes, masters); err != nil {
		t.Fatalf("testenv: redis cluster: %v", err)
	}
	return c
}

// URLs is the setting that finds it: every node, with commas between.
func (c *RedisCluster) URLs() string {
	var urls []string
	for _, s := range append(c.Masters[:len(c.Masters):len(c.Masters)], c.Replicas...) {
		urls = append(urls, "redis://"+s.Addr())
	}
	return strings.Join(urls, ",")
}

// clusterNode is a server and the port on which the nodes of a cluster talk to each other.
type clusterNode struct {
	*Server
	bus string
}

func startClusterNode(t testing.TB) clusterNode {
	t.Helper()
	bus, err := daemon.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(bus)
	return clusterNode{StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", port, "--cluster-node-timeout", "2000",
		"--cluster-config-file", "nodes.conf", "--repl-diskless-sync-delay", "0"), port}
}

// form makes one cluster of the nodes, of which the first are masters and the others their replicas.
func form(ctx context.Context, nodes []clusterNode, masters int) error {
	const slots = 16384
	ids := make([]string, len(nodes))
	for i, s := range nodes {
		err := redisDo(ctx, s.Addr(), func(r *goredis.Client) (err error) {
			if ids[i], err = r.Do(ctx, "CLUSTER", "MYID").Text(); err != nil {
				return err
			}
			if err := r.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil || i >= masters {
				return err
			}
			return r.ClusterAddSlotsRange(ctx, i*slots/masters, (i+1)*slots/masters-1).Err()
		})
		if err != nil {
			return err
		}
	}
	err := redisDo(ctx, nodes[0].Addr(), func(r *goredis.Client) error {
		for _, s := range nodes[1:] {
			host, port, _ := net.SplitHostPort(s.Addr())
			if err := r.Do(ctx, "CLUSTER", "MEET", host, port, s.bus).Err(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, s := range nodes[masters:] {
		if err := persist(ctx, s.Addr(), func(r *goredis.Client) error {
			return r.ClusterReplicate(ctx, ids[i]).Err() // once they know each other
		}); err != nil {
			return err
		}
	}
	for _, s := range nodes {
		if err := persist(ctx, s.Addr(), func(r *goredis.Client) error {
			said, err := r.ClusterInfo(ctx).Result()
			if err != nil {
				return err
			}
			if !strings.Contains(said, "cluster_state:ok") || !strings.Contains(said, "cluster_known_nodes:"+strconv.Itoa(len(nodes))) {
				return fmt.Errorf("not whole yet: %s", said)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	for _, s := range nodes[masters:] {
		if err := persist(ctx, s.Addr(), inStep); err != nil {
			return err
		}
	}
	return nil
}

// inStep is nil once a replica follows its master.
func inStep(r *goredis.Client) error {
	said, err := r.Info(context.Background(), "replication").Result()
	if err == nil && !strings.Contains(said, "master_link_status:up") {
		err = fmt.Errorf("the replica does not follow yet")
	}
	return err
}

// redisDo calls do with a client for one server.
func redisDo(ctx context.Context, addr string, do func(r *goredis.Client) error) error {
	r := goredis.NewClient(&goredis.Options{Addr: addr, Protocol: 2, ContextTimeoutEnabled: true})
	defer r.Close()
	return do(r)
}

// persist repeats do until it is done, or ctx is.
func persist(ctx context.Context, addr string, do func(r *goredis.Client) error) error {
	for {
		err := redisDo(ctx, addr, do)
		if err == nil {
			return nil
		}
		if !daemon.Pause(ctx) {
			return err
		}
	}
}
