package gateway

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

func TestDrain_SpreadsClosesAndEndsInTime(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		const clients = 20
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
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := r.srv.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		wg.Wait()
		early, late := 0, 0
		for _, at := range closedAt {
			if at.Sub(began) < 250*time.Millisecond {
				early++
			} else {
				late++
			}
		}
		if early < clients/4 || late < clients/4 || took > 1500*time.Millisecond {
			t.Fatalf("%d closed in the first half, %d in the second, drained after %v", early, late, took)
		}
		if err := r.srv.Drain(ctx); err != nil {
			t.Fatalf("second drain: %v", err)
		}
		if _, err := net.Dial("tcp", r.addr); err == nil {
			t.Fatal("a drained server still accepts")
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
		if err := r.srv.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Fatalf("drained after %v", took)
		}
	})
}

func TestDrain_CloseHurriesIt(t *testing.T) {
	r := start(t, Config{}, nil)
	for range 10 {
		r.dial()
	}
	r.opened(10)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	done := make(chan error)
	go func() { done <- r.srv.Drain(ctx) }()
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
	go func() { drained <- srv.Drain(ctx) }()
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
