package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

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

// Nginx makes an nginx of d; settings are what goes inside its http { }, and listen on d's address.
func Nginx(d *Daemon, settings string) error {
	path, err := Program("nginx", "nginx", "/usr/sbin", "/usr/local/sbin")
	if err != nil {
		return err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // its workers would be another user, who may not enter the folder
	}
	main := filepath.Join(d.Dir, "nginx.conf")
	for file, text := range map[string]string{
		main:                                  fmt.Sprintf(nginxConfig, d.Dir, user),
		filepath.Join(d.Dir, "fastport.conf"): settings,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return fmt.Errorf("daemon: %w", err)
		}
	}
	d.Quit = syscall.SIGTERM
	d.Command = func() *exec.Cmd { return exec.Command(path, "-c", main, "-p", d.Dir, "-e", "stderr") }
	d.Ready = func(ctx context.Context) error { return Answers(ctx, d.Addr) }
	return nil
}

// Answers says whether somebody answers at addr: nil if so.
func Answers(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}
