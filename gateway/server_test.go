package gateway

import (
	"testing"
)

func echoes(p *peer) { p.text, p.binary = echo, echoBinary }

func TestServer_EchoesFramesOfEverySize(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, echoes)
		c := r.dial()
		for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 200_000, 1 << 20} {
			want := repeat("x", n)
			go c.conn.Write(frame(0x81, want))
			c.expect(want)
		}
	})
}
