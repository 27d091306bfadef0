package gateway

import (
	"bytes"
	"compress/flate"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

// pack deflates as a client without context takeover does.
func pack(plain string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	io.WriteString(w, plain)
	w.Flush()
	return strings.TrimSuffix(b.String(), deflateTail)
}

func unpack(t *testing.T, packed string) string {
	t.Helper()
	plain, err := io.ReadAll(flate.NewReader(strings.NewReader(packed + inflateTail)))
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

// dialPacked negotiates compression and reports what the server answered.
func (r *rig) dialPacked(offer wsflate.Parameters) (*client, []httphead.Option) {
	r.t.Helper()
	d := ws.Dialer{Extensions: []httphead.Option{offer.Option()}}
	conn, br, hs, err := d.Dial(context.Background(), "ws://"+r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { conn.Close() })
	c := &client{t: r.t, conn: conn, br: br}
	if br == nil {
		c.br = newReader(conn)
	}
	conn.SetDeadline(time.Now().Add(patience))
	return c, hs.Extensions
}

func TestDeflate_IsOffByDefault(t *testing.T) {
	r := start(t, Config{}, echoes)
	c, accepted := r.dialPacked(wsflate.DefaultParameters)
	if len(accepted) != 0 {
		t.Fatalf("accepted %v", accepted)
	}
	c.write(frame(0xc1, pack("x")))
	c.expectClose(protocol.CloseBadFrame)
}

func TestDeflate_BothWays(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.Compression = true
		r := start(t, cfg, echoes)
		c, accepted := r.dialPacked(wsflate.Parameters{ClientMaxWindowBits: 1})
		if len(accepted) != 1 {
			t.Fatalf("accepted %v", accepted)
		}
		var p wsflate.Parameters
		if err := p.Parse(accepted[0]); err != nil || !p.ServerNoContextTakeover || !p.ClientNoContextTakeover {
			t.Fatalf("parameters = %+v, %v", p, err)
		}
		long := strings.Repeat("all work and no play ", 10_000)
		for range 3 { // each message stands alone
			c.write(frame(0xc1, pack(long)))
			h, got, err := c.read()
			if err != nil || h.Rsv != 4 || len(got) > len(long)/10 || unpack(t, got) != long {
				t.Fatalf("echo = RSV %d, %d bytes, %v", h.Rsv, len(got), err)
			}
		}
		packed := pack(long)
		c.write(join(frame(0x41, packed[:100]), frame(0x89, "p"), frame(0x80, packed[100:])))
		if h, _, err := c.read(); err != nil || h.OpCode != ws.OpPong {
			t.Fatal(h, err)
		}
		if _, got, err := c.read(); err != nil || unpack(t, got) != long {
			t.Fatalf("fragments: %d bytes, %v", len(got), err)
		}
		// What is small, or does not shrink, goes as it is; a client may do so too.
		for _, plain := range []string{"", "small", incompressible(5000)} {
			c.write(frame(0x82, plain))
			h, got, err := c.read()
			if err != nil || h.Rsv != 0 || got != plain {
				t.Fatalf("plain = RSV %d, %d bytes, %v", h.Rsv, len(got), err)
			}
		}
		plain := r.dial()
		plain.write(frame(0x81, long)) // did not negotiate
		plain.expect(long)
		plain.write(frame(0xc1, pack("x")))
		plain.expectClose(protocol.CloseBadFrame)
	})
}

// incompressible is noise.
func incompressible(n int) string {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

func TestDeflate_RefusesBombsAndDamage(t *testing.T) {
	at, over := pack(strings.Repeat("0", 1<<20)), pack(strings.Repeat("0", 1<<20+1))
	bomb := pack(strings.Repeat("0", 64<<20))
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.Compression, cfg.MaxPayload = true, 1<<20
		r := start(t, cfg, echoes)
		for name, test := range map[string]struct {
			stream []byte
			code   protocol.CloseCode
		}{
			"over the limit":     {frame(0xc2, over), 1009},
			"bomb":               {frame(0xc2, bomb), 1009},
			"damaged":            {frame(0xc2, "\x07\xff\xff"), 1007},
			"not UTF-8":          {frame(0xc1, pack("\xff\xfe")), 1007},
			"RSV1 on the second": {join(frame(0x41, "a"), frame(0xc0, "b")), 1002},
			"RSV1 on a ping":     {frame(0xc9, ""), 1002},
		} {
			t.Run(name, func(t *testing.T) {
				c, _ := r.dialPacked(wsflate.DefaultParameters)
				c.t = t
				c.write(test.stream)
				c.expectClose(test.code)
			})
		}
		c, _ := r.dialPacked(wsflate.DefaultParameters)
		c.write(frame(0xc2, at))
		if _, got, err := c.read(); err != nil || len(unpack(t, got)) != 1<<20 {
			t.Fatalf("a message at the limit: %v", err)
		}
	})
}

func TestDeflate_MakesOneFormForAll(t *testing.T) {
	r := start(t, Config{Compression: true}, nil)
	for range 3 {
		r.dialPacked(wsflate.DefaultParameters)
	}
	p := packet(false, strings.Repeat("the same for all ", 100))
	var first []byte
	for _, peer := range r.opened(3) {
		peer.sock.Send(session.LaneMessage, p)
		if first == nil {
			first = p.Transport.Small
		}
		if &p.Transport.Small[0] != &first[0] {
			t.Fatal("deflated again")
		}
	}
}
