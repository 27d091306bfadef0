package rig

import (
	"net"
	"strconv"

	"github.com/fastport/fastport/deploy"
	"github.com/fastport/fastport/internal/daemon"
)

// Nginx is the load balancer, with the settings of deploy/nginx.conf.
type Nginx struct{ d *daemon.Daemon }

func startNginx(c *Cluster) (*Nginx, error) {
	d, err := c.daemon("nginx")
	if err != nil {
		return nil, err
	}
	if c.options.Port != 0 {
		d.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(c.options.Port))
	}
	if err := daemon.Nginx(d, deploy.At(deploy.Nginx, d.Addr, c.Places())); err != nil {
		return nil, err
	}
	return &Nginx{d: d}, d.Start()
}

// URL is where clients connect, to whichever node.
func (n *Nginx) URL() string { return "http://" + n.d.Addr }

// LogFile is what it says.
func (n *Nginx) LogFile() string { return n.d.LogFile() }

// Places is the nodes as a load balancer finds them.
func (c *Cluster) Places() (list []deploy.Node) {
	for _, n := range c.Nodes {
		_, ops, _ := net.SplitHostPort(n.opsAddr)
		list = append(list, deploy.Node{Name: n.Name(), Addr: n.d.Addr, Ops: ops})
	}
	return list
}
