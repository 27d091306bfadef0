package gateway

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
	"github.com/fastport/fastport/session"
)

func TestConn_ClosesWithTheCodeOfEachViolation(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.MaxPayload = testLimit
		r := start(t, cfg, echoes)
		for _, v := range violations {
			t.Run(v.name, func(t *testing.T) {
				c := r.dial()
				c.t = t
				c.write(v.stream)
				c.expectClose(v.code)
				r.peer().waitClosed()
			})
		}
	})
}

func TestConn_ClosesTextThatIsNotUTF8With1007(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, echoes)
		for name, stream := range map[string][]byte{
			"whole":     frame(0x81, "a\xffb"),
			"fragments": join(frame(0x01, "\xe2\x82"), frame(0x80, "x")),
			"surrogate": frame(0x81, "\xed\xa0\x80"),
			"cut short": frame(0x81, "\xe2\x82"),
			"reason":    frame(0x88, "\x03\xe8\xff"),
		} {
			t.Run(name, func(t *testing.T) {
				c := r.dial()
				c.t = t
				c.write(stream)
				c.expectClose(protocol.CloseBadText)
			})
		}
		c := r.dial()
		c.write(join(frame(0x01, "\xe2"), frame(0x00, "\x82"), frame(0x80, "\xac")))
		c.expect("€") // a rune cut by fragments is none the worse
		c.write(frame(0x82, "\xff"))
		if h, got, err := c.read(); err != nil || h.OpCode != ws.OpBinary || got != "\xff" {
			t.Fatalf("binary = %v %q %v", h.OpCode, got, err)
		}
	})
}

func TestConn_AnswersACloseFrameWithItsCode(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, echoes)
		for _, test := range []struct {
			payload string
			want    protocol.CloseCode
		}{
			{"\x03\xe8bye", 1000}, {"\x03\xe9", 1001}, {"\x0f\xa0", 4000}, {"\x0b\xb8", 3000}, {"", 0},
			{"\x03", 1002}, {"\x03\xe7", 1002}, {"\x03\xec", 1002}, {"\x03\xed", 1002}, {"\x03\xee", 1002},
			{"\x03\xf7", 1002}, {"\x0b\xb7", 1002}, {"\x13\x88", 1002},
		} {
			t.Run(fmt.Sprintf("%x", test.payload), func(t *testing.T) {
				c := r.dial()
				c.t = t
				c.write(frame(0x88, test.payload))
				c.expectClose(test.want)
				r.peer().waitClosed()
			})
		}
	})
}

// The answer waits behind what the peer has not read yet; that it has ended its own side does not lose it.
func TestConn_AnswersACloseFrameThatTheEndFollows(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, nil)
		c := r.dial()
		p := r.peer()
		r.stuff(p, session.LaneMessage)
		c.write(frame(0x88, "\x0f\xa1"))
		c.conn.(interface{ CloseWrite() error }).CloseWrite()
		p.waitClosed()
		c.expectClose(4001)
	})
}

func TestConn_HandsNothingInAfterACloseFrame(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		texts := make(chan string, 8)
		r := start(t, cfg, func(p *peer) {
			p.text = func(_ *peer, frame []byte) bool { texts <- string(frame); return false }
		})
		c := r.dial()
		c.write(join(frame(0x81, "before"), frame(0x88, "\x03\xe8"), frame(0x81, "after")))
		c.expectClose(1000)
		r.peer().waitClosed()
		if len(texts) != 1 || <-texts != "before" {
			t.Fatal("a frame behind the close frame was handed in")
		}
	})
}

func TestConn_SendsWhatIsQueuedBeforeItsCloseFrame(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, func(p *peer) {
			p.text = func(p *peer, _ []byte) bool {
				p.sock.Send(session.LaneMessage, packet(false, "message"))
				p.sock.Send(session.LaneControl, packet(false, "response"))
				p.sock.Close(protocol.CloseNotAuthenticated, "no")
				p.sock.Close(protocol.CloseSessionGone, "too late")
				if p.sock.Send(session.LaneControl, packet(false, "late")) {
					t.Error("a closing socket took a frame")
				}
				return false
			}
		})
		c := r.dial()
		c.send("go")
		c.expect("response")
		c.expectClose(protocol.CloseNotAuthenticated)
	})
}

// The peer sends without end and reads its close frame late: a reset would have eaten it.
func TestConn_CloseCodeReachesAPeerThatStillSends(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, nil)
		c := r.dial()
		p := r.peer()
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			for range 200 {
				if _, err := c.conn.Write(frame(0x82, repeat("x", 10_000))); err != nil {
					t.Errorf("the connection was reset: %v", err)
					return
				}
			}
			c.conn.(interface{ CloseWrite() error }).CloseWrite()
		})
		p.sock.Close(protocol.CloseSessionGone, "dropped")
		wg.Wait()
		c.expectClose(protocol.CloseSessionGone)
	})
}

func TestConn_HangsUpWhenThePeerStaysAfterTheClose(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		cfg.CloseLinger = 50 * time.Millisecond
		r := start(t, cfg, nil)
		r.dial() // reads nothing, closes nothing
		p := r.peer()
		p.sock.Close(protocol.CloseSessionGone, "")
		p.waitClosed()
		eventually(t, "the socket is closed", func() bool { return r.srv.Stats().Connections == 0 })
	})
}

func TestConn_TellsClosedWhenThePeerVanishes(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, nil)
		for _, linger := range []int{-1, 0} { // an orderly end of stream, a reset
			c := r.dial()
			p := r.peer()
			c.conn.(interface{ SetLinger(int) error }).SetLinger(linger)
			c.conn.Close()
			p.waitClosed()
		}
		eventually(t, "both are gone", func() bool { return r.srv.Stats().Connections == 0 })
		if got := r.srv.Stats().Closed["lost"]; got != 2 {
			t.Fatalf("closed as lost = %d, want 2", got)
		}
	})
}

// A connection that closes while its engine still opens it must not lose the order of calls.
func TestConn_CloseWithinOpen(t *testing.T) {
	eachMode(t, func(t *testing.T, cfg Config) {
		r := start(t, cfg, func(p *peer) {
			p.sock.Send(session.LaneControl, packet(false, "welcome"))
			p.sock.Close(protocol.CloseDraining, "")
		})
		c := r.dial()
		c.expect("welcome")
		c.expectClose(protocol.CloseDraining)
		r.peer().waitClosed()
	})
}
