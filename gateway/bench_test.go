package gateway

import (
	"fmt"
	"io"
	"testing"

	"github.com/fastport/fastport/session"
)

// BenchmarkFanout sends one packet to many connections, until all of them have it in their kernel.
func BenchmarkFanout(b *testing.B) {
	for _, mode := range []string{"epoll", "goroutines"} {
		for _, receivers := range []int{1, 100, 1000} {
			for _, size := range []int{300, 16 << 10, 64 << 10} {
				b.Run(fmt.Sprintf("%s/receivers=%d/bytes=%d", mode, receivers, size), func(b *testing.B) {
					r := start(b, Config{Goroutines: mode == "goroutines"}, nil)
					for range receivers {
						c := r.dial()
						go io.Copy(io.Discard, c.conn)
						c.conn.SetDeadline(noDeadline)
					}
					peers := r.opened(receivers)
					body := repeat("m", size)
					b.SetBytes(int64(size * receivers))
					b.ResetTimer()
					for b.Loop() {
						p := packet(false, body)
						for _, peer := range peers {
							for !peer.sock.Send(session.LaneMessage, p) {
							}
						}
					}
					b.StopTimer()
					b.ReportMetric(float64(receivers)*float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
				})
			}
		}
	}
}

// BenchmarkEcho is frames in and out of one connection, many of them under way.
func BenchmarkEcho(b *testing.B) {
	for _, mode := range []string{"epoll", "goroutines"} {
		b.Run(mode, func(b *testing.B) {
			r := start(b, Config{Goroutines: mode == "goroutines"}, echoes)
			c := r.dial()
			c.conn.SetDeadline(noDeadline)
			var batch []byte
			const frames = 100
			for range frames {
				batch = append(batch, frame(0x81, repeat("m", 300))...)
			}
			back := make([]byte, frames*304)
			b.ResetTimer()
			for b.Loop() {
				if _, err := c.conn.Write(batch); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c.br, back); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(frames)*float64(b.N)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}
