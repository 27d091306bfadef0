package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

func TestDrain_SpreadsCloses(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		const clients = 40
		r := start(t, cfg, nil)
		var wg sync.WaitGroup
		closedAt := make([]time.Time, clients)
		for i := range clients {
			c := r.dial()
			wg.Go(func() {
				c.expectClose(protocol.CloseDraining)
				closedAt[i] = time.Now()
			})
		}
		r.opened(clients)
		// An hour: with none of them left it ends.
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := r.srv.Drain(ctx, true); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		first, last := slices.MinFunc(closedAt, time.Time.Compare), slices.MaxFunc(closedAt, time.Time.Compare)
		if took := last.Sub(first); took < clients*movePace/4 {
			t.Fatalf("all were closed within %v", took)
		}
		if err := r.srv.Drain(ctx, true); err != nil {
			t.Fatalf("second drain: %v", err)
		}
		if _, err := net.Dial("tcp", r.addr); err == nil {
			t.Fatal("a drained server still accepts")
		}
	})
}

// moved has all peers be told to move, and tells when they were to.
func moved(told chan<- time.Duration) func(*peer) {
	return func(p *peer) {
		p.move = func(_ *peer, after time.Duration) bool { told <- after; return true }
		p.leave = func(p *peer) { p.sock.Close(protocol.CloseDraining, "leave") }
	}
}

func TestDrain_ClientsThatMoveKeepTheirConnectionUntilTheyHave(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		const clients = 20
		told := make(chan time.Duration, clients)
		r := start(t, cfg, func(p *peer) { moved(told)(p); p.text = echo })
		var all []*client
		for range clients {
			all = append(all, r.dial())
		}
		r.opened(clients)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		drained := make(chan error, 1)
		go func() { drained <- r.srv.Drain(ctx, true) }()
		distinct := make(map[time.Duration]bool)
		for range clients {
			after := <-told
			distinct[after] = true
			if after < 0 || after > clients*movePace {
				t.Errorf("told to move after %v, want %v at the most", after, clients*movePace)
			}
		}
		if len(distinct) < clients/2 {
			t.Errorf("%d moments for %d clients", len(distinct), clients)
		}
		for _, c := range all {
			c.send("still here")
			c.expect("still here")
		}
		select {
		case err := <-drained:
			t.Fatalf("drained (%v) before they had moved", err)
		default:
		}
		for _, c := range all {
			c.write(frame(0x88, "\x03\xe8"))
			c.expectClose(protocol.CloseNormal)
		}
		if err := <-drained; err != nil {
			t.Fatal(err)
		}
	})
}

func TestDrain_ClosesWhoDoesNotMoveBeforeItsEnd(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, moved(make(chan time.Duration, 1)))
		c := r.dial()
		r.opened(1)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		drained := make(chan error, 1)
		go func() { drained <- r.srv.Drain(ctx, true) }()
		c.expectClose(protocol.CloseDraining)
		if err := <-drained; err != nil {
			t.Fatal(err)
		}
		if ctx.Err() != nil {
			t.Error("closed only when the time was over")
		}
	})
}

func TestDrain_WithoutAnotherNodeClosesAllAtOnce(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		told := make(chan time.Duration, 100)
		r := start(t, cfg, moved(told))
		var wg sync.WaitGroup
		for range 50 {
			c := r.dial()
			wg.Go(func() { c.expectClose(protocol.CloseDraining) })
		}
		r.opened(50)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := r.srv.Drain(ctx, false); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if len(told) > 0 {
			t.Error("told to move to nowhere")
		}
	})
}

func TestDrain_ClosesBehindTheAnswersThatAreOwed(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		left := make(chan struct{})
		var once sync.Once
		r := start(t, cfg, func(p *peer) {
			p.move = func(*peer, time.Duration) bool { return false }
			p.leave = func(*peer) { once.Do(func() { close(left) }) } // Drain asks again who is there still
		})
		c := r.dial()
		p := r.peer()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		drained := make(chan error, 1)
		go func() { drained <- r.srv.Drain(ctx, true) }()
		<-left
		p.sock.Send(session.LaneAck, packet(false, "answer"))
		c.expect("answer")
		p.sock.Close(protocol.CloseDraining, "now")
		c.expectClose(protocol.CloseDraining)
		if err := <-drained; err != nil {
			t.Fatal(err)
		}
	})
}

func TestDrain_AnAnswerThatNeverComesDelaysNoClose(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, func(p *peer) {
			p.move = func(*peer, time.Duration) bool { return false }
			p.leave = func(*peer) {}
		})
		c := r.dial()
		r.opened(1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		drained := make(chan error, 1)
		go func() { drained <- r.srv.Drain(ctx, true) }()
		c.expectClose(protocol.CloseDraining)
		if err := <-drained; err != nil {
			t.Fatal(err)
		}
	})
}

func TestDrain_CutsOffWhoStays(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, nil)
		r.dial() // never closes its side
		stuck := r.dial()
		for _, p := range r.opened(2)[1:] {
			for p.sock.Send(session.LaneMessage, packet(true, repeat("x", 64<<10))) {
			}
		}
		_ = stuck
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		if err := r.srv.Drain(ctx, true); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Fatalf("drained after %v", took)
		}
	})
}

func TestDrain_CloseHurriesIt(t *testing.T) {
	r := start(t, Config{}, moved(make(chan time.Duration, 10)))
	for range 10 {
		r.dial()
	}
	r.opened(10)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	done := make(chan error)
	go func() { done <- r.srv.Drain(ctx, true) }()
	eventually(t, "the drain began", func() bool { return r.srv.draining.Load() })
	if err := r.srv.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestDrain_LetsRequestsEnd(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	srv := New(Config{}, nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(inside)
		<-release
		io.WriteString(w, "done")
	}))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	got := make(chan string, 1)
	go func() {
		res, err := http.Get("http://" + ln.Addr().String())
		if err != nil {
			got <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		got <- string(body)
	}()
	<-inside
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- srv.Drain(ctx, true) }()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	select {
	case <-drained:
		t.Fatal("drained with a request under way")
	case <-time.After(100 * time.Millisecond):
	}
	close(release)
	if body := <-got; body != "done" {
		t.Fatalf("body = %s", body)
	}
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		t.Fatalf("serve after drain = %v", err)
	}
}

func TestDrain_BeforeServe(t *testing.T) {
	if err := New(Config{}, nil, nil).Close(); err != nil {
		t.Fatal(err)
	}
}
