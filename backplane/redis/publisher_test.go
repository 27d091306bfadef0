package redis

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What is announced now and then is not held up for company; what comes in crowds is.
func TestPublisher_WaitsForCompanyOnlyBehindACrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		p := newPublisher(&conn{Conn: near}, "PUBLISH", &counts{})
		stop := make(chan struct{})
		var work sync.WaitGroup
		work.Go(func() { p.write(stop) })
		defer work.Wait()
		defer close(stop)
		buf := make([]byte, 4096)
		for underWay := range 2 * crowd { // nothing is answered
			began := time.Now()
			p.send("c", func(b []byte) []byte { return append(b, 'x') }, nil, waiter{})
			if _, err := far.Read(buf); err != nil {
				t.Fatal(err)
			}
			want := time.Duration(0)
			if underWay >= crowd {
				want = flushDelay
			}
			if took := time.Since(began); took != want {
				t.Errorf("with %d under way a message waited %v, want %v", underWay, took, want)
			}
		}
	})
}
