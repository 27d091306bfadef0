// Package deploy holds the settings of load balancers that docs/deploy.md shows. They are files to copy from; what runs
// in `make cluster` and in tests is these files with other addresses.
package deploy

import (
	_ "embed"
	"regexp"
	"strings"
)

// Nginx is for inside http { }.
//
//go:embed nginx.conf
var Nginx string

// HAProxy is a whole configuration.
//
//go:embed haproxy.cfg
var HAProxy string

// Caddy is a whole Caddyfile.
//
//go:embed Caddyfile
var Caddy string

// Node is where a load balancer finds a node.
type Node struct {
	Name string
	Addr string // host:port of its PORT
	Ops  string // port of its METRICS_PORT
}

var (
	listens  = regexp.MustCompile(`(?m)^(\s*(?:listen |bind )?)(:?)80\b`)
	anyNode  = regexp.MustCompile(`(?m)^.*\bnode-[2-9]:3000.*\n`)
	oneNode  = regexp.MustCompile(`(?m)^.*\bnode-1:3000.*\n`)
	nodeName = regexp.MustCompile(`\bnode-1:3000|\bnode-1\b|\b9090\b`)
)

// At is the settings with addresses of one's own: where it listens (host:port), and the nodes.
func At(settings, listen string, nodes []Node) string {
	settings = anyNode.ReplaceAllString(settings, "")
	settings = oneNode.ReplaceAllStringFunc(settings, func(line string) string {
		var b strings.Builder
		for _, n := range nodes {
			b.WriteString(nodeName.ReplaceAllStringFunc(line, func(word string) string {
				switch word {
				case "node-1:3000":
					return n.Addr
				case "9090":
					return n.Ops
				}
				return n.Name
			}))
		}
		return b.String()
	})
	return listens.ReplaceAllString(settings, "${1}"+listen)
}
