package gateway

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/gobwas/ws"

	"github.com/fastport/fastport/protocol"
)

// script is a sink that writes down what it gets.
type script struct {
	lines   []string
	pauseAt int // the message after which to pause; 0: never
	count   int
}

func (s *script) frame() bool { return true }

func (s *script) message(op ws.OpCode, packed bool, payload []byte) (verdict, *violation) {
	s.lines = append(s.lines, fmt.Sprintf("message %d %v %q", op, packed, payload))
	if s.count++; s.count == s.pauseAt {
		return pause, nil
	}
	return proceed, nil
}

func (s *script) control(op ws.OpCode, payload []byte) (verdict, *violation) {
	s.lines = append(s.lines, fmt.Sprintf("control %d %q", op, payload))
	if op == ws.OpClose {
		return stop, nil
	}
	return proceed, nil
}

func newTestParser(limit int) *parser { return &parser{limit: limit, buffers: new(buffers)} }

// parse feeds a copy of stream in pieces whose sizes next tells.
func parse(p *parser, s *script, stream []byte, next func(left int) int) *violation {
	stream = bytes.Clone(stream)
	for len(stream) > 0 {
		n := min(len(stream), max(1, next(len(stream))))
		rest, v, err := p.feed(stream[:n:n], s)
		for err == nil && v == pause {
			rest, v, err = p.feed(rest, s)
		}
		if err != nil || v == stop {
			return err
		}
		stream = stream[n:]
	}
	return nil
}

func whole(left int) int { return left }

func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

// raw makes a masked header with any length form, and no payload.
func raw(first byte, second byte, length ...byte) []byte {
	return append(append([]byte{first, second}, length...), 1, 2, 3, 4)
}

func fragments(n int) []byte {
	out := frame(0x01, "a")
	for range n - 2 {
		out = append(out, frame(0x00, "")...)
	}
	return append(out, frame(0x80, "z")...)
}

// violations is every way to break the framing rules, and the close code it gets.
var violations = []struct {
	name   string
	stream []byte
	code   protocol.CloseCode
}{
	{"unmasked text", []byte{0x81, 0x01, 'a'}, 1002},
	{"unmasked empty text", []byte{0x81, 0x00}, 1002},
	{"RSV1 without compression", frame(0xc1, "a"), 1002},
	{"RSV2", frame(0xa1, "a"), 1002},
	{"RSV3", frame(0x91, "a"), 1002},
	{"RSV1 on a ping", frame(0xc9, ""), 1002},
	{"opcode 3", frame(0x83, "a"), 1002},
	{"opcode 7", frame(0x87, "a"), 1002},
	{"opcode 11", frame(0x8b, "a"), 1002},
	{"opcode 15", frame(0x8f, "a"), 1002},
	{"ping of 126 bytes", frame(0x89, repeat("p", 126)), 1002},
	{"close of 126 bytes", frame(0x88, repeat("p", 126)), 1002},
	{"fragmented ping", frame(0x09, "p"), 1002},
	{"lone continuation", frame(0x80, "a"), 1002},
	{"lone first continuation", frame(0x00, "a"), 1002},
	{"continuation after a whole message", join(frame(0x81, "a"), frame(0x80, "b")), 1002},
	{"text inside a fragmented text", join(frame(0x01, "a"), frame(0x81, "b")), 1002},
	{"binary inside a fragmented text", join(frame(0x01, "a"), frame(0x02, "b")), 1002},
	{"16-bit length of 125", raw(0x81, 0x80|126, 0, 125), 1002},
	{"64-bit length of 65535", raw(0x81, 0x80|127, 0, 0, 0, 0, 0, 0, 0xff, 0xff), 1002},
	{"64-bit length of 0", raw(0x82, 0x80|127, 0, 0, 0, 0, 0, 0, 0, 0), 1002},
	{"length with its highest bit", raw(0x82, 0x80|127, 0x80, 0, 0, 0, 0, 0, 0, 0), 1002},
	{"length of 2^63-1", raw(0x82, 0x80|127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 1009},
	{"one byte over the limit", raw(0x82, 0x80|127, 0, 0, 0, 0, 0, 2, 0, 1), 1009},
	{"fragments over the limit", join(frame(0x02, repeat("a", 100<<10)), raw(0x80, 0x80|126, 0x70, 0x01)), 1009},
	{"fragments over the limit by much", join(frame(0x02, repeat("a", 100<<10)), raw(0x80, 0x80|127, 0, 0, 0, 0, 0, 1, 0, 0)), 1009},
	{"1,025 fragments", fragments(1025), 1009},
}

const testLimit = 128 << 10

func TestParser_RefusesEveryViolationInAnySplit(t *testing.T) {
	for _, v := range violations {
		t.Run(v.name, func(t *testing.T) {
			splits := map[string]func(int) int{"whole": whole, "bytes": func(int) int { return 1 }, "threes": func(int) int { return 3 }}
			for split, next := range splits {
				err := parse(newTestParser(testLimit), &script{}, v.stream, next)
				if err == nil || err.code != v.code {
					t.Errorf("%s: violation = %+v, want code %d", split, err, v.code)
				}
			}
		})
	}
}

func TestParser_TakesWhatIsAtTheLimits(t *testing.T) {
	for name, stream := range map[string][]byte{
		"limit":           frame(0x82, repeat("a", testLimit)),
		"two fragments":   join(frame(0x02, repeat("a", testLimit-1)), frame(0x80, "z")),
		"1,024 fragments": fragments(1024),
		"ping of 125":     frame(0x89, repeat("p", 125)),
		"length 126":      frame(0x82, repeat("a", 126)),
		"length 65536":    frame(0x82, repeat("a", 65536)),
	} {
		if err := parse(newTestParser(testLimit), &script{}, stream, whole); err != nil {
			t.Errorf("%s: %+v", name, err)
		}
	}
}

func TestParser_DeliversControlFramesInsideAMessage(t *testing.T) {
	stream := join(frame(0x01, "hel"), frame(0x89, "ping"), frame(0x00, ""), frame(0x8a, ""), frame(0x80, "lo"), frame(0x82, ""))
	want := []string{`control 9 "ping"`, `control 10 ""`, `message 1 false "hello"`, `message 2 false ""`}
	for _, size := range []int{1, 2, 5, 7, 1000} {
		var s script
		if err := parse(newTestParser(testLimit), &s, stream, func(int) int { return size }); err != nil {
			t.Fatalf("pieces of %d: %+v", size, err)
		}
		if !reflect.DeepEqual(s.lines, want) {
			t.Fatalf("pieces of %d: got %q, want %q", size, s.lines, want)
		}
	}
}

func TestParser_HoldsNoMoreThanWhatCame(t *testing.T) {
	p := newTestParser(10 << 20)
	// Claims 10 MiB, sends 100 bytes.
	stream := append(raw(0x82, 0x80|127, 0, 0, 0, 0, 0, 0xa0, 0, 0), make([]byte, 100)...)
	if _, _, err := p.feed(stream, &script{}); err != nil {
		t.Fatal(err)
	}
	if cap(p.msg) > 1024 {
		t.Fatalf("buffer = %d for 100 bytes", cap(p.msg))
	}
	for came := 100; came < 5<<20; came += 1000 {
		p.feed(make([]byte, 1000), &script{})
		if limit := max(4*came, pooledBuffer); cap(p.msg) > limit {
			t.Fatalf("buffer = %d for %d bytes", cap(p.msg), came)
		}
	}
}

func TestParser_PausesAfterTheFrameThatAsked(t *testing.T) {
	p, s := newTestParser(testLimit), &script{pauseAt: 2}
	stream := join(frame(0x81, "a"), frame(0x81, "b"), frame(0x81, "c"))
	rest, v, err := p.feed(stream, s)
	if err != nil || v != pause || len(s.lines) != 2 || len(rest) != len(frame(0x81, "c")) {
		t.Fatalf("feed = %d bytes left, %v, %v; %d messages, want 2", len(rest), v, err, len(s.lines))
	}
	if _, v, err = p.feed(rest, s); v != proceed || err != nil || len(s.lines) != 3 {
		t.Fatalf("after the pause: %v, %v, %d messages", v, err, len(s.lines))
	}
}

func TestParser_DoesNotAllocateForWholeFrames(t *testing.T) {
	p, s := newTestParser(testLimit), sinkFunc(func() {})
	stream := join(frame(0x81, repeat("x", 300)), frame(0x89, "p"))
	buf := make([]byte, len(stream))
	if n := testing.AllocsPerRun(100, func() {
		copy(buf, stream)
		p.feed(buf, s)
	}); n != 0 {
		t.Fatalf("allocations = %v, want 0", n)
	}
}

type sinkFunc func()

func (sinkFunc) frame() bool                                           { return true }
func (sinkFunc) message(ws.OpCode, bool, []byte) (verdict, *violation) { return proceed, nil }
func (sinkFunc) control(ws.OpCode, []byte) (verdict, *violation)       { return proceed, nil }

// FuzzParser: a stream gives the same frames and the same end however it is cut, and buffers stay within a small
// multiple of what came.
func FuzzParser(f *testing.F) {
	for _, v := range violations {
		if len(v.stream) < 1000 {
			f.Add(v.stream, uint64(1))
		}
	}
	f.Add(join(frame(0x01, "hel"), frame(0x89, "ping"), frame(0x80, "lo"), frame(0xc2, "zip")), uint64(7))
	f.Fuzz(func(t *testing.T, stream []byte, seed uint64) {
		const limit = 4096
		var want script
		p := newTestParser(limit)
		p.deflate = seed%2 == 1
		wantErr := parse(p, &want, stream, whole)
		rnd := rand.New(rand.NewPCG(seed, 1))
		var got script
		got.pauseAt = 1 + int(seed%3)
		q := newTestParser(limit)
		q.deflate = seed%2 == 1
		gotErr := parse(q, &got, stream, func(int) int { return 1 + rnd.IntN(9) })
		if gotErr != wantErr {
			t.Fatalf("cut: %+v, whole: %+v", gotErr, wantErr)
		}
		if !reflect.DeepEqual(got.lines, want.lines) {
			t.Fatalf("cut: %q, whole: %q", got.lines, want.lines)
		}
		if n := cap(q.msg); n > 4*len(stream)+firstGrowth+256 {
			t.Fatalf("%d bytes held of %d", n, len(stream))
		}
	})
}

func TestCipher_AgreesWithTheDefinition(t *testing.T) {
	mask := [4]byte{1, 2, 4, 8}
	for n := range 200 {
		for offset := range 5 {
			got, want := make([]byte, n), make([]byte, n)
			for i := range want {
				got[i], want[i] = byte(i), byte(i)^mask[(offset+i)%4]
			}
			ws.Cipher(got, mask, offset)
			if !bytes.Equal(got, want) {
				t.Fatalf("n = %d, offset = %d: %x, want %x", n, offset, got, want)
			}
		}
	}
}
