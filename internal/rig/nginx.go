package rig

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/fastport/fastport/deploy"
	"github.com/fastport/fastport/internal/daemon"
)

// Nginx is the load balancer, with the settings of deploy/nginx.conf.
type Nginx struct{ d *daemon.Daemon }

// What Debian keeps in nginx.conf: everything of its own stays in its folder.
const nginxConfig = `daemon off;
%[2]s
worker_processes 2;
pid %[1]s/pid;
error_log stderr;
events { worker_connections 8192; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	include %[1]s/fastport.conf;
}
`

func startNginx(c *Cluster) (*Nginx, error) {
	path, err := daemon.Program("nginx", "nginx", "/usr/sbin", "/usr/local/sbin")
	if err != nil {
		return nil, err
	}
	d, err := c.daemon("nginx")
	if err != nil {
		return nil, err
	}
	if c.options.Port != 0 {
		d.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(c.options.Port))
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // its workers would be another user, who may not enter the folder
	}
	main := filepath.Join(d.Dir, "nginx.conf")
	for file, text := range map[string]string{
		main:                                  fmt.Sprintf(nginxConfig, d.Dir, user),
		filepath.Join(d.Dir, "fastport.conf"): deploy.At(deploy.Nginx, d.Addr, c.places()),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, fmt.Errorf("rig: %w", err)
		}
	}
	d.Quit = syscall.SIGTERM
	d.Command = func() *exec.Cmd { return exec.Command(path, "-c", main, "-p", d.Dir, "-e", "stderr") }
	n := &Nginx{d: d}
	d.Ready = func(ctx context.Context) error {
		code, body, err := get(ctx, n.URL())
		if err == nil && code >= http.StatusInternalServerError {
			err = fmt.Errorf("%d %s", code, body)
		}
		return err
	}
	return n, d.Start()
}

// URL is where clients connect, to whichever node.
func (n *Nginx) URL() string { return "http://" + n.d.Addr }

// LogFile is what it says.
func (n *Nginx) LogFile() string { return n.d.LogFile() }

// places is the nodes as a load balancer finds them.
func (c *Cluster) places() (list []deploy.Node) {
	for _, n := range c.Nodes {
		_, ops, _ := net.SplitHostPort(n.opsAddr)
		list = append(list, deploy.Node{Name: n.Name(), Addr: n.d.Addr, Ops: ops})
	}
	return list
}
