package gateway

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lineOf asks the kernel how a TCP socket gets on.
func lineOf(fd int) (l line, ok bool) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return line{}, false
	}
	queued, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if err != nil {
		return line{}, false
	}
	return line{info.Bytes_acked, queued, time.Duration(info.Rwnd_limited) * time.Microsecond}, true
}

// lineOfConn is lineOf for a socket that Go's own poller has.
func lineOfConn(nc net.Conn) (l line, ok bool) {
	sc, is := nc.(syscall.Conn)
	if !is {
		return line{}, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return line{}, false
	}
	err = raw.Control(func(fd uintptr) { l, ok = lineOf(int(fd)) })
	return l, ok && err == nil
}
