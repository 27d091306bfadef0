package gateway

import (
	"bufio"
	"context"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/fastport/fastport/session"
)

// dialTuned connects a client whose socket has been set up by tune before it was connected.
func (r *rig) dialTuned(tune func(fd int) error) *client {
	r.t.Helper()
	plain := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if ctlErr := raw.Control(func(fd uintptr) { err = tune(int(fd)) }); ctlErr != nil {
			return ctlErr
		}
		return err
	}}
	d := ws.Dialer{Timeout: patience, NetDial: plain.DialContext}
	conn, br, _, err := d.Dial(context.Background(), "ws://"+r.addr+"/")
	if err != nil {
		r.t.Fatal(err)
	}
	if br == nil {
		br = bufio.NewReader(conn)
	}
	r.t.Cleanup(func() { conn.Close() })
	return &client{t: r.t, conn: conn, br: br}
}

// unplug has the client's kernel drop all that comes, so that it does not even say that it is there.
func (c *client) unplug() {
	c.t.Helper()
	raw, err := c.conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		c.t.Fatal(err)
	}
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	ctlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing[0]})
	})
	if ctlErr != nil || err != nil {
		c.t.Fatal(ctlErr, err)
	}
}

// traffic sends p a little at a time, until stop is called.
func traffic(p *peer, size int, every time.Duration) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		m := packet(true, repeat("m", size))
		for {
			select {
			case <-done:
				return
			case <-time.After(every):
				p.sock.Send(session.LaneMessage, m)
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// Each write is taken by a kernel, here or there, and by nobody else.
func TestLine_WhoReadsNothingIsFoundThoughThereIsTraffic(t *testing.T) {
	for name, silence := range map[string]func(*client){
		"half open":   (*client).unplug,
		"not reading": func(*client) {},
	} {
		t.Run(name, func(t *testing.T) {
			eachMode(t, func(t *testing.T, cfg Config) {
				t.Parallel()
				cfg.PingInterval, cfg.PongTimeout = 200*time.Millisecond, 500*time.Millisecond
				r := start(t, cfg, nil)
				silence(r.dial())
				p := r.peer()
				defer traffic(p, 100, 5*time.Millisecond)()
				p.waitClosed()
				if got := r.srv.Stats().Closed["no_pong"]; got != 1 {
					t.Fatalf("closed = %v, want no pong", r.srv.Stats().Closed)
				}
			})
		})
	}
}

// throttled reads so many bytes every 20 ms.
type throttled struct {
	net.Conn
	bytes int
}

func (c throttled) Read(p []byte) (int, error) {
	time.Sleep(20 * time.Millisecond) // the reader's pace, not a wait
	return c.Conn.Read(p[:min(len(p), c.bytes)])
}

// A fifth of all times, and twice the pace: it stands for one that reads 4 kB a second and must answer within 10 s.
func TestLine_WhoReadsSlowlyStaysThoughItsPongIsLate(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		t.Parallel()
		cfg.PingInterval, cfg.PongTimeout, cfg.SlowConsumerAfter = 500*time.Millisecond, 2*time.Second, 6*time.Second
		r := start(t, cfg, nil)
		// Little room and small segments, so that a reader this slow makes room often enough to be seen, as over a
		// real network; on the loopback device a segment has 64 KiB.
		c := r.dialTuned(func(fd int) error {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<10); err != nil {
				return err
			}
			return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1460)
		})
		p := r.peer()
		defer traffic(p, 800, 10*time.Millisecond)()
		var reading sync.WaitGroup
		defer reading.Wait()
		defer c.conn.Close()
		reading.Go(func() {
			c.br = bufio.NewReaderSize(throttled{c.conn, 400}, 256)
			for {
				h, id, err := c.read()
				if err != nil {
					return
				}
				if h.OpCode == ws.OpPing {
					c.conn.Write(frame(0x8a, id))
				}
			}
		})
		for late := time.Duration(0); late < cfg.PongTimeout*3/2; {
			select {
			case pinged := <-p.alive:
				late = time.Since(pinged)
				t.Logf("a pong after %v", late)
			case <-p.closed:
				t.Fatalf("closed though it reads: %v", r.srv.Stats().Closed)
			case <-time.After(6 * patience):
				t.Fatal("no pong was late")
			}
		}
	})
}
