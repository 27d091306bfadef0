package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/fastport/fastport/internal/rig"
)

const (
	lookEvery = 500 * time.Millisecond
	backAfter = 3 * time.Second // a node that has died stays away for a while, so that it can be seen
)

// watch tells of every change until ctx ends, and brings nodes back that have died.
func watch(ctx context.Context, out io.Writer, c *rig.Cluster) {
	var starting sync.WaitGroup
	defer starting.Wait()
	died := make([]time.Time, len(c.Nodes))
	before := ""
	for {
		states := make([]string, len(c.Nodes))
		for i, n := range c.Nodes {
			states[i] = n.Name() + " " + state(ctx, n)
			switch {
			case n.Running():
				died[i] = time.Time{}
			case died[i].IsZero():
				died[i] = time.Now()
			case time.Since(died[i]) > backAfter:
				died[i] = time.Now()
				starting.Go(func() {
					if err := n.Start(); err != nil {
						fmt.Fprintln(out, n.Name(), "does not come back:", err)
					}
				})
			}
		}
		if ctx.Err() != nil {
			return
		}
		if now := strings.Join(states, ", "); now != before {
			fmt.Fprintf(out, "%s  %s\n", time.Now().Format(time.TimeOnly), now)
			before = now
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
	}
}

// state is a node's in words.
func state(ctx context.Context, n *rig.Node) string {
	if !n.Running() {
		return "down"
	}
	switch ready, _, err := n.Ready(ctx); {
	case err != nil:
		return "silent"
	case !ready:
		return "not ready"
	}
	return fmt.Sprintf("up (pid %d)", n.PID())
}
