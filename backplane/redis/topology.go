package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// askPatience is for one Sentinel, or one node of a cluster, to say who is master.
const askPatience = time.Second

// shard is a master and the slots whose channels it carries.
type shard struct {
	addr   string
	ranges [][2]int // first and last, of a Redis Cluster
}

// holds reports whether the shard carries a channel.
func (s shard) holds(name string) bool {
	if len(s.ranges) == 0 { // no cluster
		return true
	}
	at := slot(name)
	return slices.ContainsFunc(s.ranges, func(r [2]int) bool { return r[0] <= at && at <= r[1] })
}

// topology is the masters, by address.
type topology []shard

func (t topology) equal(other topology) bool {
	return slices.EqualFunc(t, other, func(a, b shard) bool {
		return a.addr == b.addr && slices.Equal(a.ranges, b.ranges)
	})
}

// resolve finds the masters.
func (t *target) resolve(ctx context.Context) (topology, error) {
	if t.shape == standalone {
		return topology{{addr: t.seeds[0]}}, nil
	}
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	ask := t.askSentinel
	if t.shape == cluster {
		ask = t.askCluster
	}
	type answer struct {
		found topology
		err   error
	}
	places := t.seeds
	if known := t.learned.Load(); known != nil {
		places = slices.Clone(places)
		for _, s := range *known {
			if !slices.Contains(places, s.addr) {
				places = append(places, s.addr)
			}
		}
	}
	answers := make(chan answer, len(places))
	for _, seed := range places {
		asking.Go(func() {
			found, err := ask(ctx, seed)
			answers <- answer{found, err}
		})
	}
	// What most say counts: one that was cut off from the others still tells of the past.
	var heard []topology
	var fault error
	best, votes := -1, 0
	for range places {
		a := <-answers
		if a.err != nil {
			fault = cmp.Or(fault, a.err)
			continue
		}
		heard = append(heard, a.found)
		agree := 0
		for _, other := range heard {
			if other.equal(a.found) {
				agree++
			}
		}
		if agree > votes {
			best, votes = len(heard)-1, agree
		}
		if 2*votes > len(places) {
			break
		}
	}
	if best < 0 {
		return nil, fault
	}
	if t.shape == cluster {
		t.learned.Store(&heard[best])
	}
	return heard[best], nil
}

// askSentinel asks one Sentinel for the master.
func (t *target) askSentinel(ctx context.Context, addr string) (topology, error) {
	keeper := &target{user: t.sentinelUser, password: t.sentinelPassword, tls: t.tls}
	c, err := keeper.dial(ctx, addr, "fastport")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r, err := c.within(ctx, "SENTINEL", "get-master-addr-by-name", t.master)
	switch {
	case err != nil:
		return nil, err
	case len(r.list) != 2:
		return nil, fmt.Errorf("redis: the Sentinel at %s knows no master %q", addr, t.master)
	}
	return topology{{addr: net.JoinHostPort(r.list[0].text, r.list[1].text)}}, nil
}

// askCluster asks one node for the masters and their slots.
func (t *target) askCluster(ctx context.Context, addr string) (topology, error) {
	c, err := t.dial(ctx, addr, "fastport")
	if err != nil {
		return nil, err
	}
	defer c.Close()
	r, err := c.within(ctx, "CLUSTER", "INFO")
	if err != nil {
		return nil, err
	}
	if !strings.Contains(r.text, "cluster_state:ok") {
		return nil, fmt.Errorf("redis: the cluster is not whole, says %s", addr)
	}
	if r, err = c.within(ctx, "CLUSTER", "SLOTS"); err != nil {
		return nil, err
	}
	return readSlots(r, addr)
}

// readSlots reads the answer of the node at addr to CLUSTER SLOTS.
func readSlots(r reply, addr string) (topology, error) {
	own, _, _ := net.SplitHostPort(addr)
	at := map[string][][2]int{}
	for _, each := range r.list {
		if len(each.list) < 3 || len(each.list[2].list) < 2 {
			return nil, errors.New("redis: CLUSTER SLOTS says nothing known")
		}
		from, to, master := each.list[0].n, each.list[1].n, each.list[2].list
		if from < 0 || to >= slots || from > to {
			return nil, errors.New("redis: CLUSTER SLOTS names slots that are none")
		}
		host := cmp.Or(master[0].text, own) // it does not know its own name: the one that was dialled
		if host == "?" {
			host = own
		}
		name := net.JoinHostPort(host, strconv.FormatInt(master[1].n, 10))
		at[name] = append(at[name], [2]int{int(from), int(to)})
	}
	found, held := topology{}, 0
	for name, ranges := range at {
		slices.SortFunc(ranges, func(a, b [2]int) int { return a[0] - b[0] })
		for _, r := range ranges {
			held += r[1] - r[0] + 1
		}
		found = append(found, shard{addr: name, ranges: ranges})
	}
	if held != slots {
		return nil, fmt.Errorf("redis: the cluster's masters hold %d of %d slots", held, slots)
	}
	slices.SortFunc(found, func(a, b shard) int { return strings.Compare(a.addr, b.addr) })
	return found, nil
}

// within is do, ended with ctx.
func (c *conn) within(ctx context.Context, args ...string) (reply, error) {
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return c.do(args...)
}
