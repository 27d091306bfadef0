package main

import (
	"fmt"
	"io"
	"net"

	"github.com/fastport/fastport/internal/rig"
)

// describe prints where everything is, and what to do with it.
func describe(out io.Writer, c *rig.Cluster, bin string) {
	say := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	say("\nfastPort is a cluster of %d nodes behind nginx: %s\n", len(c.Nodes), c.Nginx.URL())
	for _, n := range c.Nodes {
		say("  %-9s %s  health and metrics %s  pid %d", n.Name(), n.URL(), n.OpsURL(), n.PID())
		say("            log %s", n.LogFile())
	}
	_, redisPort, _ := net.SplitHostPort(c.Redis.Addr())
	say("  admin     user %s, password %s (%s/api/admin)", rig.AdminUser, c.AdminPass, c.Nginx.URL())
	say("  Redis     redis-cli -p %s", redisPort)
	say("  Postgres  psql '%s'", c.Postgres.URL())
	second := c.Nodes[min(1, len(c.Nodes)-1)]
	say(`
Listen at one node, in a second terminal:

  export PATH=%[1]s:$PATH FASTPORT_URL=%[2]s
  fastport session create demo --save
  fastport sub demo news --client-id laptop

and publish through another, in a third:

  export PATH=%[1]s:$PATH FASTPORT_URL=%[3]s
  fastport pub demo news "hello from the other side"

Kill a node (kill -9 and its pid) and see what comes of it. Ctrl-C ends everything.
`, bin, c.Node(0).URL(), second.URL())
}
