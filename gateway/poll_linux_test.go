package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

// idleClients opens n upgraded connections from several addresses; close ends them.
func idleClients(t testing.TB, r *rig, n int) []net.Conn {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	// Both ends are in this process.
	if most := int(limit.Cur)/2 - 200; n > most {
		t.Logf("%d descriptors allow %d connections of %d", limit.Cur, most, n)
		n = most
	}
	conns := make([]net.Conn, n)
	for i := range conns {
		conn, err := dialFrom(fmt.Sprintf("127.0.0.%d", 2+i/5000), r.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, upgradeHead+"\r\n")
		conns[i] = conn
		t.Cleanup(func() { conn.Close() })
	}
	for _, conn := range conns {
		conn.SetReadDeadline(time.Now().Add(patience))
		res, err := http.ReadResponse(bufio.NewReaderSize(io.LimitReader(conn, 129), 256), nil)
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(res, err)
		}
	}
	return conns
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func TestPoll_IdleConnectionsCostBytesAndNoGoroutines(t *testing.T) {
	r := start(t, Config{}, nil)
	idleClients(t, r, 100) // whatever is made once
	eventually(t, "they are open", func() bool { return r.srv.Stats().Connections == 100 })
	settled := func() int {
		n := 0
		eventually(t, "net/http has let go", func() bool {
			before := n
			n = runtime.NumGoroutine()
			time.Sleep(10 * time.Millisecond)
			return n == before
		})
		return n
	}
	goroutines, bytes := settled(), heap()
	n := len(idleClients(t, r, 9000))
	eventually(t, "they are open", func() bool { return r.srv.Stats().Connections == int64(100+n) })
	grown := settled() - goroutines
	each := (int64(heap()) - int64(bytes)) / int64(n)
	t.Logf("%d connections: %d bytes each with the client's end and the test's peer, %d goroutines more", n, each, grown)
	if grown > 2 {
		t.Errorf("%d goroutines more for %d idle connections", grown, n)
	}
	if each > 4096 {
		t.Errorf("%d bytes for each idle connection", each)
	}
}

// There are as many as connections. The allocator's classes are 384 and then 416: what only few need hangs on a pointer.
func TestPoll_AConnectionFitsIntoItsSizeClass(t *testing.T) {
	if size := unsafe.Sizeof(pollConn{}); size > 384 {
		t.Fatalf("%d bytes, want 384 at most", size)
	}
}

func TestPoll_DescriptorsAreGivenBack(t *testing.T) {
	none := descriptors()
	t.Run("connections", func(t *testing.T) {
		r := start(t, Config{}, echoes)
		c := r.dial()
		r.peer()
		c.send("the server has what it needs")
		c.expect("the server has what it needs")
		before := descriptors()
		var open []*client
		for range 100 {
			open = append(open, r.dial())
			r.peer()
		}
		if n := descriptors() - before; n > 200 {
			t.Errorf("%d descriptors for both ends of 100 connections", n)
		}
		for _, c := range open {
			c.conn.Close()
		}
		for i := range 200 {
			c := r.dial()
			p := r.peer()
			switch i % 4 {
			case 0:
				c.write(frame(0x88, ""))
				c.expectClose(0)
			case 1:
				p.sock.Close(protocol.CloseNormal, "")
				c.expectClose(protocol.CloseNormal)
			case 2:
				c.conn.Close()
			case 3: // in the middle of being sent to
				for p.sock.Send(session.LaneMessage, packet(true, repeat("x", 1<<20))) {
				}
				c.conn.(*net.TCPConn).SetLinger(0)
				c.conn.Close()
			}
			p.waitClosed()
		}
		eventually(t, "as many descriptors as before", func() bool { return descriptors() <= before })
	})
	eventually(t, "none of the server's is left", func() bool { return descriptors() <= none })
}

// descriptors is how many of the lower numbers are in use.
func descriptors() (n int) {
	for fd := range 2000 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}

// Each connection here has something epoll would tell again and again to whoever does not listen right.
func TestPoll_DoesNotSpin(t *testing.T) {
	r := start(t, Config{CloseLinger: time.Hour}, func(p *peer) {
		p.text = func(*peer, []byte) bool { return true }
	})
	paused := r.dial()
	paused.send("wait")
	paused.send("more")
	paused.conn.(*net.TCPConn).CloseWrite()
	r.peer()

	drained := r.dial() // was blocked, and is writable again
	p := r.peer()
	r.stuff(p, session.LaneMessage)
	for sent := r.srv.Stats(); sent.OutboxBytes > 0; sent = r.srv.Stats() {
		drained.br.Discard(1000)
	}

	stuck := r.dial() // has ended its side, while its close frame waits behind what it does not read
	p = r.peer()
	r.stuff(p, session.LaneMessage)
	p.sock.Close(protocol.CloseSessionGone, "")
	p.waitClosed()
	stuck.conn.(*net.TCPConn).CloseWrite()

	lingering := r.dial() // knows that it is closed, and stays
	p = r.peer()
	p.sock.Close(protocol.CloseSessionGone, "")
	p.waitClosed()
	lingering.read()

	var before, after unix.Rusage
	unix.Getrusage(unix.RUSAGE_SELF, &before)
	time.Sleep(300 * time.Millisecond) // what is measured is that nothing happens
	unix.Getrusage(unix.RUSAGE_SELF, &after)
	used := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	if used > 100*time.Millisecond {
		t.Fatalf("%v of processor time in 300 ms with nothing to do", used)
	}
	for _, c := range []*client{paused, drained, stuck, lingering} {
		c.conn.Close()
	}
}

// The number of receivers decides whether the reader's poller writes what lies at the others, or wakes their flushers.
func TestPoll_WhatAFrameQueuesElsewhereGoesOut(t *testing.T) {
	for _, receivers := range []int{1, 3, 2 * lendAtMost} {
		t.Run(fmt.Sprint(receivers), func(t *testing.T) {
			var mu sync.Mutex
			var all []*peer
			spread := func(_ *peer, frame []byte) bool {
				mu.Lock()
				defer mu.Unlock()
				for _, p := range all {
					p.sock.Send(session.LaneMessage, packet(false, string(frame)))
				}
				return false
			}
			r := start(t, Config{Pollers: 3}, func(p *peer) {
				p.text = spread
				mu.Lock()
				defer mu.Unlock()
				all = append(all, p)
			})
			var clients []*client
			for range receivers {
				clients = append(clients, r.dial())
			}
			r.opened(receivers)
			for round := range 50 {
				said := fmt.Sprint("round ", round)
				clients[round%receivers].send(said)
				// From outside of any round, as what a store has committed comes.
				r.opened(1)[0].sock.Send(session.LaneAck, packet(false, "committed"))
				for i, c := range clients {
					heard := 1
					if i == 0 {
						heard = 2
					}
					for range heard {
						if _, text, err := c.read(); err != nil || text != said && text != "committed" {
							t.Fatalf("round %d, receiver %d: %q, %v", round, i, text, err)
						}
					}
				}
			}
		})
	}
}
