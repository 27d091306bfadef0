// Command relay is the limit that servers are measured against: it upgrades, and from then on only copies frames that it
// has built once to those who asked for a topic. One thread, no JSON, no log-in, no acks of deliveries.
//
// A client's frame is binary: 'S' or 'I' and a topic of two bytes subscribes or does not, answered by 's'; 'P' and a
// topic goes to the topic's subscribers as it is; 'Q' does too, and is answered by 'a'.
package main

import (
	"flag"
	"log"
	"net"
	"runtime/debug"
	"syscall"

	"github.com/gobwas/ws"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:3000", "loopback `address` to listen on")
	flag.Parse()
	debug.SetGCPercent(400)
	l, err := net.Listen("tcp4", *addr)
	if err != nil {
		log.Fatal(err)
	}
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		log.Fatal(err)
	}
	ready := make(chan *client, 1024)
	var pipe [2]int // tells the loop of new clients
	if err := syscall.Pipe2(pipe[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		log.Fatal(err)
	}
	r := &relay{ep: ep, wake: pipe[0], ready: ready, clients: map[int]*client{}, topics: map[uint16][]*client{}, buf: make([]byte, 1<<20)}
	go r.run()
	for {
		nc, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			fd, err := adopt(nc.(*net.TCPConn))
			if err != nil {
				return
			}
			ready <- &client{fd: fd}
			syscall.Write(pipe[1], []byte{0})
		}()
	}
}

// adopt upgrades a connection and takes its descriptor out of Go's hands, so that nothing but the loop wakes for it.
func adopt(nc *net.TCPConn) (int, error) {
	defer nc.Close()
	if _, err := ws.Upgrade(nc); err != nil {
		return 0, err
	}
	raw, err := nc.SyscallConn()
	if err != nil {
		return 0, err
	}
	fd := -1
	if cerr := raw.Control(func(old uintptr) { fd, err = syscall.Dup(int(old)) }); cerr != nil {
		return 0, cerr
	}
	if err != nil {
		return 0, err
	}
	return fd, syscall.SetNonblock(fd, true)
}
