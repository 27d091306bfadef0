package daemon

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Redis makes of d an empty Redis on 127.0.0.1 without persistence: a Restart brings it back empty. args are added to
// its command line ("--maxmemory", "64mb").
func Redis(d *Daemon, args ...string) error {
	path, err := Program("redis-server", "redis-server")
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(d.Addr)
	d.Quit = syscall.SIGTERM
	d.Command = func() *exec.Cmd {
		fixed := []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", d.Dir}
		return exec.Command(path, append(fixed, args...)...)
	}
	d.Ready = func(ctx context.Context) error { return PingRedis(ctx, d.Addr) }
	return nil
}

// PingRedis accepts an error reply too: a server that asks for a password serves.
func PingRedis(ctx context.Context, addr string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err
	}
	if answer != "+PONG\r\n" && answer[0] != '-' || strings.HasPrefix(answer, "-LOADING") {
		return fmt.Errorf("redis says %q", answer)
	}
	return nil
}
