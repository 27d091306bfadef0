package redis

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fastport/fastport/backplane"
)

func reading(text string) *conn {
	return &conn{r: bufio.NewReaderSize(strings.NewReader(text), 64)}
}

func TestRESP_ReadsEveryAnswer(t *testing.T) {
	c := reading("+OK\r\n-ERR no\r\n:-12\r\n$5\r\na\r\nbc\r\n$-1\r\n*2\r\n:1\r\n*1\r\n$0\r\n\r\n*-1\r\n")
	for i, want := range []reply{{kind: '+', text: "OK"}, {kind: '-', text: "ERR no"}, {kind: ':', n: -12}, {kind: '$', text: "a\r\nbc"}, {kind: '_'}} {
		got, err := c.read()
		if err != nil || got.kind != want.kind || got.text != want.text || got.n != want.n {
			t.Fatalf("answer %d = %+v, %v, want %+v", i, got, err, want)
		}
	}
	if got, err := c.read(); err != nil || len(got.list) != 2 || got.list[0].n != 1 || len(got.list[1].list) != 1 {
		t.Fatalf("list = %+v, %v", got, err)
	}
	if got, err := c.read(); err != nil || got.kind != '_' {
		t.Fatalf("null list = %+v, %v", got, err)
	}
}

func TestRESP_RefusesLengthsThatNobodySends(t *testing.T) {
	for _, text := range []string{"$67108865\r\n", "$-2\r\n", "*9999999999999\r\n", "$x\r\n", "%1\r\n", "\r\n", strings.Repeat("x", 100)} {
		if got, err := reading(text).read(); err == nil {
			t.Errorf("%q was read as %+v", text, got)
		}
	}
}

func FuzzRESP_NothingBreaksAReader(f *testing.F) {
	f.Add([]byte("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n*2\r\n$4\r\npong\r\n$1\r\n1\r\n"))
	f.Add([]byte("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n-ERR\r\n"))
	f.Add([]byte("*1000000\r\n*1000000\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<12 {
			return
		}
		var p push
		for c := (&conn{r: bufio.NewReader(bytes.NewReader(b))}); c.readPush(&p) == nil; {
		}
		for c := (&conn{r: bufio.NewReader(bytes.NewReader(b))}); ; {
			if _, err := c.read(); err != nil {
				return
			}
		}
	})
}

func TestPublisher_RefusesBeyondItsQueueAndAnswersEveryoneAtItsEnd(t *testing.T) {
	near, far := net.Pipe() // nobody reads: nothing is ever taken
	defer far.Close()
	var counted counts
	p := newPublisher(&conn{Conn: near, r: bufio.NewReader(near)}, "PUBLISH", &counted)
	answers := make(chan error, maxUnanswered+10)
	for range maxUnanswered + 10 {
		p.send("channel", func(b []byte) []byte { return append(b, 'x') }, nil, waiter{done: func(err error) { answers <- err }})
	}
	for i := range 10 {
		if err := <-answers; !errors.Is(err, backplane.ErrUnavailable) {
			t.Fatalf("answer %d = %v, want ErrUnavailable", i, err)
		}
	}
	if got := counted.refused.Load(); got != 10 || len(answers) != 0 {
		t.Fatalf("refused = %d, other answers %d, want 10 and none", got, len(answers))
	}
	p.end(errSilent)
	if len(answers) != maxUnanswered {
		t.Fatalf("answers at the end = %d, want %d", len(answers), maxUnanswered)
	}
	p.send("channel", func(b []byte) []byte { return b }, nil, waiter{done: func(err error) { answers <- err }})
	for range maxUnanswered + 1 {
		if err := <-answers; !errors.Is(err, backplane.ErrUnavailable) || !errors.Is(err, errSilent) {
			t.Fatalf("answer = %v, want ErrUnavailable and the cause", err)
		}
	}
}

func TestPublisher_BoundsItsBytesButTakesAnyOneMessage(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	p := newPublisher(&conn{Conn: near, r: bufio.NewReader(near)}, "PUBLISH", new(counts))
	data := make([]byte, 10<<20)
	refused := 0
	for range 8 {
		p.send("channel", func(b []byte) []byte { return b }, data, waiter{done: func(err error) { refused++ }})
	}
	if refused != 2 {
		t.Errorf("refused = %d of 8 messages of 10 MiB, want 2", refused)
	}
}

func TestPublisher_CountsItsPatienceInTicks(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	p := newPublisher(&conn{Conn: near, r: bufio.NewReader(near)}, "PUBLISH", new(counts))
	for range 5 {
		if waited := p.pass(); waited != 0 {
			t.Fatalf("waited = %d with nothing due", waited)
		}
	}
	p.send("channel", func(b []byte) []byte { return b }, nil, waiter{})
	for i := range uint64(5) {
		if waited := p.pass(); waited != i+1 {
			t.Fatalf("waited = %d, want %d", waited, i+1)
		}
	}
}

func TestCanary_CountsItsPatienceInTicksSoThatAFrozenProcessBlamesNobody(t *testing.T) {
	c := canary{clock: newClock()}
	number := c.next()
	for range 100 {
		if owed := c.pass(); owed != 0 {
			t.Fatalf("owed = %d before Redis took it", owed)
		}
	}
	c.taken(number)
	for i := range 3 {
		if owed := c.pass(); owed != i+1 {
			t.Fatalf("owed = %d, want %d", owed, i+1)
		}
	}
	c.back(number)
	if owed := c.pass(); owed != 0 {
		t.Fatalf("owed = %d after it came back", owed)
	}
}

func TestClock_TheNarrowestMeasurementCountsUntilAClockIsSet(t *testing.T) {
	const ahead = 3600_000_000
	c := newClock()
	c.learn(0, 10*time.Millisecond, ahead+9_000) // slow on its way back
	slow := c.offset.Load()
	c.learn(time.Second, time.Second+100*time.Microsecond, ahead+1_000_050)
	if got := c.offset.Load(); got == slow || got < ahead-60 || got > ahead+60 {
		t.Fatalf("offset = %d, want %d within 60 µs", got, ahead)
	}
	best := c.offset.Load()
	c.learn(2*time.Second, 2*time.Second+20*time.Millisecond, ahead+2_001_000) // wider, and it agrees
	if got := c.offset.Load(); got != best {
		t.Fatalf("offset = %d after a slower measurement, want still %d", got, best)
	}
	c.learn(3*time.Second, 3*time.Second+20*time.Millisecond, 3_010_000) // Redis's clock was set back by the hour
	if got := c.offset.Load(); got < -10_010 || got > 10_010 {
		t.Fatalf("offset = %d after the clock was set, want about 0", got)
	}
	c.learn(100*time.Second, 100*time.Second+40*time.Millisecond, 100_020_000+10_000) // old measurements make room
	if got := c.offset.Load(); got < 9_000 || got > 11_000 {
		t.Fatalf("offset = %d, want the newer one's 10000", got)
	}
}

func TestSlot_IsWhatRedisSays(t *testing.T) {
	// From CLUSTER KEYSLOT.
	for name, want := range map[string]int{"123456789": 12739, "foo": 12182, "{foo}bar": 12182, "a{foo}b{x}": 12182, "foo{}{bar}": 8363, "": 0} {
		if got := slot(name); got != want {
			t.Errorf("slot(%q) = %d, want %d", name, got, want)
		}
	}
}
