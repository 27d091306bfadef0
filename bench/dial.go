package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"

	"github.com/gobwas/ws"
)

type target struct {
	u    *url.URL
	addr syscall.SockaddrInet4
}

func parseTarget(raw string) (*target, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, err
	}
	h, p, err := net.SplitHostPort(u.Host)
	if err != nil {
		return nil, err
	}
	if h == "localhost" {
		h = "127.0.0.1"
	}
	ip := net.ParseIP(h).To4()
	if ip == nil || ip[0] != 127 {
		return nil, fmt.Errorf("%s: only loopback IPv4 targets are allowed", raw)
	}
	port, _ := strconv.Atoi(p)
	t := &target{u: u}
	t.addr.Port = port
	copy(t.addr.Addr[:], ip)
	return t, nil
}

// dialFD connects from 127.0.0.src, upgrades, and runs the adapter's set-up, all blocking.
func dialFD(ad Adapter, t *target, src int, c *Conn) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	fail := func(err error) error { syscall.Close(fd); return err }
	if src > 0 {
		syscall.SetsockoptInt(fd, syscall.SOL_IP, 24 /*IP_BIND_ADDRESS_NO_PORT*/, 1)
		sa := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(src)}}
		if err := syscall.Bind(fd, sa); err != nil {
			return fail(err)
		}
	}
	tv := syscall.Timeval{Sec: 30}
	syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &tv)
	syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &tv)
	for {
		err = syscall.Connect(fd, &t.addr)
		if err == syscall.EINTR {
			continue
		}
		break
	}
	if err != nil {
		return fail(fmt.Errorf("connect: %w", err))
	}
	syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
	f := &fdRW{fd: fd}
	pre, err := upgrade(ad, t, f)
	if err != nil {
		return fail(fmt.Errorf("upgrade: %w", err))
	}
	f.pre = pre
	c.fd = fd
	if err := ad.Setup(c, f); err != nil {
		return fail(fmt.Errorf("setup: %w", err))
	}
	c.left = append(c.left[:0], f.pre...)
	return nil
}

func upgrade(ad Adapter, t *target, f io.ReadWriter) ([]byte, error) {
	proto, path := ad.WS()
	u := *t.u
	if path != "" && (u.Path == "" || u.Path == "/") {
		pu, _ := url.Parse(path)
		u.Path, u.RawQuery = pu.Path, pu.RawQuery
	}
	if u.Path == "" {
		u.Path = "/"
	}
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP(http.Header{"User-Agent": {"bench"}})}
	if proto != "" {
		d.Protocols = []string{proto}
	}
	br, _, err := d.Upgrade(f, &u)
	if err != nil {
		return nil, err
	}
	var pre []byte
	if br != nil {
		if n := br.Buffered(); n > 0 {
			b, _ := br.Peek(n)
			pre = append(pre, b...)
		}
		ws.PutReader(br)
	}
	return pre, nil
}

// dialAll opens conns in parallel; the first error is returned.
func dialAll(ad Adapter, ts []*target, conns []*Conn, par int, srcs int) error {
	ch := make(chan int)
	errs := make(chan error, par)
	for w := 0; w < par; w++ {
		go func() {
			var e error
			for i := range ch {
				if e != nil {
					continue
				}
				c := conns[i]
				t := ts[0]
				if c.sub && len(ts) > 1 {
					t = ts[1+i%(len(ts)-1)]
				}
				src := 0
				if srcs > 0 {
					src = 2 + i%srcs
				}
				if err := dialFD(ad, t, src, c); err != nil {
					e = fmt.Errorf("conn %d: %w", i, err)
				}
			}
			errs <- e
		}()
	}
	for i := range conns {
		ch <- i
	}
	close(ch)
	var first error
	for w := 0; w < par; w++ {
		if e := <-errs; e != nil && first == nil {
			first = e
		}
	}
	return first
}
