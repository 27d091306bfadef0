package gateway

import (
	"net"

	"golang.org/x/sys/unix"
)

// unsentAllowed is how many bytes the kernel takes beyond what it can send: what waits here instead still goes out by
// its lane, is counted, and shows a reader that is stuck.
const unsentAllowed = 128 << 10

func tuneTCP(tcp *net.TCPConn) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) { tune(int(fd)) })
}

func tune(fd int) { unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentAllowed) }
