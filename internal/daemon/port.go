package daemon

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports below the range from which Linux takes those of outgoing connections. One from within it could be another's
// while a daemon is down, and the daemon could not come back. All have five digits.
const firstPort, lastPort = 10000, 32767

// FreeAddr finds a free loopback address. Should another process take it before the daemon does, Start tries again.
func FreeAddr() (string, error) {
	for range 1000 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(lastPort-firstPort+1)))
		if l, err := net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", fmt.Errorf("daemon: %w", errors.New("no free port on 127.0.0.1"))
}
