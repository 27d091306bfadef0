package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"time"
)

func serveCommand() command {
	return command{
		name: "serve", group: "Broker", summary: "run a broker",
		about: `Runs one node until SIGINT or SIGTERM. It needs no setting at all: alone it keeps its data in ./data. Every setting may
also stand in the environment or in a .env file; docs/configuration.md tells of each. Logs are JSON, on standard error.`,
		examples: `fastport serve
fastport serve --port 8080 --db-type memory
ADMIN_PASS='a long sentence' fastport serve --tls-cert cert.pem --tls-key key.pem`,
		define: func(fs *flag.FlagSet) action { return configured(fs, serve) },
	}
}

// serve runs a node until ctx ends, and then drains it.
func serve(ctx context.Context, e *env, c *Config) error {
	log := slog.New(slog.NewJSONHandler(e.Stderr, &slog.HandlerOptions{Level: c.Level()}))
	n, err := startNode(ctx, c, log)
	if err != nil {
		return err
	}
	announce(e, n)
	select {
	case err = <-n.Failed():
		return errors.Join(err, n.Close())
	case <-n.DrainAsked():
		fmt.Fprintln(e.Stdout, "An operator asked this node to drain")
	case <-ctx.Done():
	}
	fmt.Fprintf(e.Stdout, "Stopping within %v; once more stops at once\n", c.DrainTimeout)
	return drain(context.WithoutCancel(ctx), e, n)
}

// hurryTime is how long a stop takes at most once it was asked for a second time.
const hurryTime = 3 * time.Second

// drain drains a node within DRAIN_TIMEOUT, and hurries on another signal. A store that does not answer keeps no process
// alive: what it was not told of is delivered once more.
func drain(ctx context.Context, e *env, n *Node) error {
	ctx, hurry := context.WithTimeout(ctx, n.config.DrainTimeout)
	defer hurry()
	drained := make(chan error, 1)
	go func() { drained <- n.Drain(ctx) }()
	late := time.NewTimer(n.config.DrainTimeout)
	defer late.Stop()
	for {
		select {
		case err := <-drained:
			if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		case <-e.Again:
			hurry()
			late.Reset(hurryTime)
		case <-late.C:
			n.log.Warn("stopped before the store was told of every ack: what it missed is delivered again")
			return nil
		}
	}
}

// announce says what people want to know of a server that has just started.
func announce(e *env, n *Node) {
	fmt.Fprintf(e.Stdout, "Using %s\n", n.storeText)
	if n.planeText != "" {
		fmt.Fprintf(e.Stdout, "Redis: %s\n", n.planeText)
	}
	switch {
	case n.config.AdminPass == "":
		fmt.Fprintln(e.Stdout, "The admin API is off: set ADMIN_PASS to turn it on")
	case n.config.WebPortal:
		fmt.Fprintf(e.Stdout, "Portal at %s/admin, for %s\n", n.URL(), n.config.AdminUser)
	default:
		fmt.Fprintf(e.Stdout, "Admin API at %s/api/admin, for %s\n", n.URL(), n.config.AdminUser)
	}
	if n.OpsAddr() != nil {
		fmt.Fprintf(e.Stdout, "Health, metrics and pprof at %s\n", n.OpsURL())
	}
	fmt.Fprintf(e.Stdout, "fastPort is running at %s\n", n.URL())
}
